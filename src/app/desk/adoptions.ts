import { Type } from 'typebox';
import { Check } from 'typebox/value';
import type { BlobStore } from '#artifact/blob-store.ts';
import type { Catalog } from '#artifact/catalog.ts';
import { digestOf, digestOfHex, hexOf } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import type { EvidenceQuery } from '#evidence/ledger.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import type { AdoptionPredicate, AdoptionResult } from '#evidence/predicates.ts';
import { makeStatement } from '#evidence/statement.ts';
import type { LoggedEvidence, Statement } from '#evidence/statement.ts';
import { formatInstant } from '#lib/clock.ts';
import type { Clock } from '#lib/clock.ts';
import { Fault } from '#lib/fault.ts';
import { parseJson } from '#lib/json.ts';
import { limits } from '#lib/limits.ts';
import { adoptionReportSchema } from '../routes/adoption-report.ts';
import type { AdoptedModel, AdoptionReport } from '../routes/adoption-report.ts';
import { renderAdoptionHtml, reportPolicy } from '../adopt/html.ts';
import type { Adopter, AdoptionDesk, AdoptionRow } from '../routes/adoptions.ts';

export interface AdoptionDeskPorts {
  readonly blobs: BlobStore;
  readonly catalog: Pick<Catalog, 'link'>;
  readonly clock: Clock;
  /** Signs with the evidence key and appends. */
  readonly write: (namespace: string, statements: readonly Statement[]) => Promise<readonly LoggedEvidence[]>;
  readonly find: (query: EvidenceQuery) => Promise<readonly LoggedEvidence[]>;
  /** Statements of one predicate, newest first. */
  readonly newest: (
    namespace: string,
    asked: { readonly predicateType: string; readonly limit: number; readonly before?: number | undefined },
  ) => Promise<readonly LoggedEvidence[]>;
}

const pageSize = 50;
const artifactsPerStatement = limits.statementSubjects - 1;

/**
 * Reports of `weighbridge adopt`. The report is a blob; what it found becomes evidence about the artifacts it names, by
 * digest and number alone. Whoever may see the evidence may see the report.
 */
export function openAdoptionDesk(ports: AdoptionDeskPorts): AdoptionDesk {
  return {
    keep: (caller, report) => keepReport(ports, caller, report),
    list: async ({ namespace }, before) => {
      const predicateType = predicateTypes.adoption;
      const entries = await ports.newest(namespace, { predicateType, limit: pageSize, before });
      const last = entries.length < pageSize ? undefined : entries.at(-1);
      return {
        items: entries.flatMap((entry) => rowOf(entry) ?? []),
        next: last === undefined ? null : String(last.logIndex),
      };
    },
    page: (report) => ({ html: renderAdoptionHtml(report), policy: reportPolicy }),
    show: async ({ namespace }, id) => {
      const row = await findRow(ports, namespace, id);
      await using blob = row === undefined ? undefined : await ports.blobs.open(id);
      if (row === undefined || blob === undefined)
        throw new Fault('resource.unknown', `there is no adoption \`${id}\` in \`${namespace}\``);
      return { row, report: parseReport(await blob.read(0, blob.sizeBytes), id) };
    },
  };
}

async function keepReport(
  ports: AdoptionDeskPorts,
  caller: Adopter,
  report: AdoptionReport,
): Promise<AdoptionRow> {
  for (const { model } of report.risks) {
    if (model !== null && model >= report.models.length)
      throw new Fault('request.invalid', 'a risk is about a model that the report does not have');
  }
  const bytes = new TextEncoder().encode(JSON.stringify(report));
  const id = digestOf(bytes);
  const known = await findRow(ports, caller.namespace, id);
  if (known !== undefined) return known;
  const blob = await ports.blobs.put(bytes, { digest: id });
  await ports.catalog.link(caller.namespace, [blob]);
  // Stopping here: a blob that no statement names, which the next upload of the same report finds.
  const logged = await ports.write(
    caller.namespace,
    statementsOf(report, { caller, id, sizeBytes: bytes.length, at: formatInstant(ports.clock.now()) }),
  );
  const row = logged.map(rowOf).find((one) => one !== undefined);
  if (row === undefined) throw new Fault('ledger.unavailable', 'the statement was not sequenced');
  return row;
}

function statementsOf(
  report: AdoptionReport,
  kept: { readonly caller: Adopter; readonly id: Digest; readonly sizeBytes: number; readonly at: string },
): readonly Statement<AdoptionPredicate>[] {
  const { namespace, person } = kept.caller;
  const { models, files, sizeBytes, origins, risks } = report.totals;
  const results = resultsOf(report.models);
  const parts = Math.max(1, Math.ceil(results.length / artifactsPerStatement));
  return Array.from({ length: parts }, (_, index) => {
    const own = results.slice(index * artifactsPerStatement, (index + 1) * artifactsPerStatement);
    const predicate: AdoptionPredicate = {
      adoptedAt: kept.at,
      person,
      namespace,
      report: { sha256: hexOf(kept.id), sizeBytes: kept.sizeBytes, at: report.at },
      part: index + 1,
      parts,
      scanner: {
        name: report.scanner.name,
        version: report.scanner.version,
        ruleSetDigest: digestOfHex(report.scanner.ruleSetDigest.slice('sha256:'.length)),
      },
      complete: report.complete,
      totals: { models, files, sizeBytes, origins, risks },
      results: own,
    };
    const subject = [hexOf(kept.id), ...own.map(({ sha256 }) => sha256)].map((sha256) => ({
      digest: { sha256 },
    }));
    return makeStatement({ namespace, predicateType: predicateTypes.adoption, subject, predicate });
  });
}

/** What is known best first: the same artifact in two places is told by the place that says more. */
const originOrder = ['proved', 'contradicted', 'claimed', 'unknown'];

/** One result per artifact. Names of directories are somebody's; only what a hub calls a repository is named. */
function resultsOf(models: readonly AdoptedModel[]): readonly AdoptionResult[] {
  const best = new Map<string, AdoptionResult>();
  for (const { artifact, source, origin, verdict, completeness, risks } of models) {
    if (artifact === null) continue;
    const sha256 = artifact.slice('sha256:'.length);
    const known = best.get(sha256);
    if (known !== undefined && originOrder.indexOf(known.origin) <= originOrder.indexOf(origin.state))
      continue;
    best.set(sha256, { sha256, source: uriOf(source), origin: origin.state, verdict, completeness, risks });
  }
  return [...best.values()].sort((a, b) => (a.sha256 < b.sha256 ? -1 : 1));
}

function uriOf(source: AdoptedModel['source']): string | null {
  if (source === null || source.commit === null) return null;
  const { type, id, commit } = source;
  return /^[\w.-]{1,96}(?:\/[\w.-]{1,96})?$/.test(id) ? `hf://${type}/${id}@${commit}` : null;
}

const number = Type.Integer({ minimum: 0 });
const predicateSchema = Type.Object({
  adoptedAt: Type.String(),
  report: Type.Object({ sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }), at: Type.String() }),
  part: Type.Integer(),
  complete: Type.Boolean(),
  totals: Type.Object({
    models: number,
    files: number,
    sizeBytes: number,
    origins: Type.Object({ proved: number, claimed: number, contradicted: number, unknown: number }),
    risks: Type.Object({ critical: number, high: number, medium: number, low: number }),
  }),
});

/** The row of a report from the first of its statements; undefined for the others. */
function rowOf({ statement: { predicate }, logIndex }: LoggedEvidence): AdoptionRow | undefined {
  if (!Check(predicateSchema, predicate) || predicate.part !== 1) return undefined;
  const { report, adoptedAt, complete, totals } = predicate;
  const id = digestOfHex(report.sha256);
  return { id, lookedAt: report.at, keptAt: adoptedAt, logIndex, complete, ...totals };
}

async function findRow(
  ports: AdoptionDeskPorts,
  namespace: string,
  id: Digest,
): Promise<AdoptionRow | undefined> {
  const query = { namespace, subjects: [id], predicateTypes: [predicateTypes.adoption] };
  return (await ports.find(query)).flatMap((entry) => rowOf(entry) ?? []).find((row) => row.id === id);
}

function parseReport(bytes: Uint8Array, id: Digest): AdoptionReport {
  const value: unknown = parseJson(bytes, { bytes: 2 * limits.adoptReportBytes });
  if (Check(adoptionReportSchema, value)) return value;
  throw new Fault('blob.corrupt', `the blob \`${id}\` is not a report`);
}
