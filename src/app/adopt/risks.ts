import { hexOf } from '#artifact/digest.ts';
import { roleOf } from '#artifact/roles.ts';
import type { Finding } from '#evidence/predicates.ts';
import { notFinished } from '#producers/scan/scanner.ts';
import { joined } from './found.ts';
import type { Notice } from './found.ts';
import { reportBounds, reportText, riskKinds, severities } from '../routes/adoption-report.ts';
import type { AdoptionRisk, RiskKind, Severity } from '../routes/adoption-report.ts';
import { alteredFiles, findingsOf, isPickle } from './weigh.ts';
import type { WeighedModel } from './weigh.ts';

export interface RiskSaid {
  readonly severity: Severity;
  readonly kind: RiskKind;
  readonly rule?: string;
  readonly message: string;
  readonly remedy: string;
}

/** How the risk begins of a model that was read and has no name in manifest v1. */
export const noDigest = 'it has no artifact digest';

/** Different risks of one kind about one model; what is beyond is counted in one row. */
const rowsPerKind = 40;

interface OpenRisk extends Omit<AdoptionRisk, 'count' | 'paths'> {
  count: number;
  readonly paths: string[];
}

/** Collects risks: the same words about the same model are one row that counts its files. */
export class RiskBook {
  readonly #rows = new Map<string, OpenRisk>();
  readonly #kinds = new Map<string, number>();

  add(model: number | null, said: RiskSaid, path?: string): void {
    const same = JSON.stringify([model, said.kind, said.severity, said.rule, said.message]);
    const row = this.#rows.get(same) ?? this.#open(model, said, same);
    row.count += 1;
    if (path !== undefined && row.paths.length < reportBounds.pathsPerRisk)
      row.paths.push(reportText(path, 8_000));
  }

  /** Gravest first; within a severity in the order of the kinds, then of the models. */
  rows(): readonly AdoptionRisk[] {
    return [...this.#rows.values()].sort(
      (a, b) =>
        severities.indexOf(a.severity) - severities.indexOf(b.severity) ||
        riskKinds.indexOf(a.kind) - riskKinds.indexOf(b.kind) ||
        (a.model ?? -1) - (b.model ?? -1),
    );
  }

  #open(model: number | null, said: RiskSaid, same: string): OpenRisk {
    const group = JSON.stringify([model, said.kind, said.severity]);
    const opened = (this.#kinds.get(group) ?? 0) + 1;
    const beyond = opened > rowsPerKind;
    const key = beyond ? group : same;
    const known = this.#rows.get(key);
    if (known !== undefined) return known;
    this.#kinds.set(group, opened);
    const row: OpenRisk = {
      severity: said.severity,
      kind: said.kind,
      model,
      rule: beyond || said.rule === undefined ? null : reportText(said.rule, 100),
      message: beyond ? 'more of this kind' : reportText(said.message, 1_900),
      remedy: reportText(said.remedy, 1_900),
      count: 0,
      paths: [],
    };
    this.#rows.set(key, row);
    return row;
  }
}

/** The risks of one model, into the book. */
export function addRisks(book: RiskBook, index: number, model: WeighedModel): void {
  for (const { finding, path } of findingsOf(model)) book.add(index, riskOf(finding), path);
  addAltered(book, index, model);
  addOrigin(book, index, model);
  addUnread(book, index, model);
  addPickles(book, index, model);
  for (const notice of model.found.notices) addNotice(book, index, notice, model.found.root);
}

export function addNotice(book: RiskBook, model: number | null, notice: Notice, root: string): void {
  book.add(model, notice, notice.path === '' ? root : joined(root, notice.path));
}

const codeRules = /^(?:CFG-AUTO-MAP|CODE-)/;

function riskOf({ ruleId, severity, message, remedy }: Finding): RiskSaid {
  const kind = codeRules.test(ruleId) ? 'remote-code' : severity === 'critical' ? 'malicious' : 'suspicious';
  return { severity, kind, rule: ruleId, message, remedy };
}

function addAltered(book: RiskBook, index: number, model: WeighedModel): void {
  const altered = new Set<string>();
  for (const { found, measured } of alteredFiles(model)) {
    altered.add(found.path);
    const now = measured.kind === 'measured' ? hexOf(measured.digest) : '';
    book.add(
      index,
      {
        severity: 'critical',
        kind: 'altered',
        message: `the bytes are not those that were downloaded (SHA-256 now \`${now}\`)`,
        remedy: 'do not load it; find out who wrote there, delete the file and download it again',
      },
      found.path,
    );
  }
  for (const path of model.origin.differing) {
    if (altered.has(path)) continue;
    const message = 'the bytes are not those that upstream lists under this name at this commit';
    const remedy = 'do not load it; delete the snapshot and download it again';
    book.add(index, { severity: 'critical', kind: 'altered', message, remedy }, path);
  }
  for (const path of model.origin.unlisted) {
    const severity = roleOf(path) === 'documentation' ? 'low' : 'high';
    const message = 'upstream lists no such file at this commit: somebody put it there';
    const remedy = 'find out who put it there; a file that steers loading can run code';
    book.add(index, { severity, kind: 'unlisted', message, remedy }, path);
  }
}

function addOrigin(book: RiskBook, index: number, { origin, found }: WeighedModel): void {
  const { state, detail } = origin.origin;
  if (state === 'unknown' || state === 'claimed') {
    const severity = state === 'unknown' ? 'medium' : 'low';
    const message = state === 'unknown' ? detail : `claimed, not proved: ${detail}`;
    const remedy = 'pull it again through Weighbridge, which keeps where it is from as evidence';
    book.add(index, { severity, kind: 'unknown-origin', message, remedy });
  }
  if (origin.moved !== undefined) {
    const message = `\`main\` has moved to \`${origin.moved.slice(0, 12)}\` since: who asks for \`main\` gets other bytes than these`;
    const remedy = `pin the commit: \`revision="${found.source?.commit ?? ''}"\``;
    book.add(index, { severity: 'low', kind: 'moved-reference', message, remedy });
  }
}

function addUnread(book: RiskBook, index: number, model: WeighedModel): void {
  for (const { found, measured, scan } of model.files) {
    if (measured.kind === 'unread') {
      const remedy = 'let the user who runs this read it, and run it again';
      book.add(index, { severity: 'medium', kind: 'unread', message: measured.reason, remedy }, found.path);
    }
    for (const reason of scan?.incompleteReasons ?? []) addInconclusive(book, index, reason, found.path);
  }
  for (const reason of model.scan?.incompleteReasons ?? [])
    addInconclusive(book, index, reason, model.found.name);
  if (model.unnamed !== undefined) {
    const message = `${noDigest}: ${model.unnamed}`;
    const remedy = 'rename or remove the file; nothing can be approved that has no name';
    book.add(index, { severity: 'medium', kind: 'unread', message, remedy });
  }
}

function addInconclusive(book: RiskBook, index: number, reason: string, path: string): void {
  const severity = roleOf(path) === 'documentation' ? 'low' : 'medium';
  const kind = reason.startsWith(notFinished) ? 'unread' : 'inconclusive';
  const remedy = 'what no scanner has read to its end is not clean; prefer safetensors or GGUF';
  book.add(index, { severity, kind, message: reason, remedy }, path);
}

/** A pickle where the same folder holds safetensors: the same weights without the risk. */
function addPickles(book: RiskBook, index: number, model: WeighedModel): void {
  const safe = new Set(
    model.files
      .filter(({ scan }) => scan?.formats.includes('safetensors') === true)
      .map(({ found: { path } }) => folderOf(path)),
  );
  for (const file of model.files) {
    const { path } = file.found;
    if (!isPickle(file) || !safe.has(folderOf(path))) continue;
    const message = 'weights as a pickle beside the same weights as safetensors';
    const remedy = 'delete the pickle; a loader that falls back to it runs what is in it';
    book.add(index, { severity: 'medium', kind: 'pickle-beside-safetensors', message, remedy }, path);
  }
}

function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
