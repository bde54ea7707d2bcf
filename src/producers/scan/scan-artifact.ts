import type { ByteSource } from '#artifact/blob-store.ts';
import { readJson } from '#artifact/formats/json/read-json.ts';
import type { JsonValue } from '#artifact/formats/json/json-document.ts';
import { decodeUtf8 } from '#artifact/formats/json/read-json.ts';
import type { Finding } from '#evidence/predicates.ts';
import { limits } from '#lib/limits.ts';
import { finding, judge, type Judgement } from './finding.ts';
import { judgeCode } from './judge-code.ts';
import { judgeConfig, type CodeReference, type ConfigJudgement } from './judge-config.ts';
import { judgePaths } from './judge-paths.ts';
import { judgeShardIndex } from './judge-shards.ts';
import { judgeStores, unrecognisedStores } from './judge-stores.ts';
import { judgeTemplate } from './judge-template.ts';
import { readYaml } from './read-yaml.ts';

/** A file of the artifact as this scan sees it. Without `source` its bytes are absent, and absent files are not judged. */
export interface ArtifactFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly formats: readonly string[];
  readonly source: ByteSource | undefined;
}

/** Is the file read again for its path's sake? */
export function isReadForItsPath(path: string): boolean {
  const name = fileName(path);
  return steersLoading(name) || isTemplate(name) || isYaml(name);
}

function fileName(path: string): string {
  return (path.split('/').at(-1) ?? '').toLowerCase();
}

function isYaml(name: string): boolean {
  return /\.ya?ml$/.test(name);
}

function isTemplate(name: string): boolean {
  return /\.(jinja2?|j2)$/.test(name);
}

/** JSON whose name says that a loader acts on it; tokenizers and vocabularies are only data. */
function steersLoading(name: string): boolean {
  return (
    name.endsWith('.json') &&
    (name.includes('config') ||
      name === 'modules.json' ||
      name === 'model_index.json' ||
      name.endsWith('.index.json'))
  );
}

/**
 * What the paths of an artifact make of its bytes: configuration that runs code, code and who refers to it, shard
 * indexes, templates by name, deceptive or colliding names, content of another format than its name. Findings name
 * the path. Only files that are present are read.
 */
export async function scanArtifact(files: readonly ArtifactFile[]): Promise<Judgement> {
  const findings: Finding[] = [...judgePaths(files)];
  const references: CodeReference[] = [];
  const reasons: string[] = [];
  const paths = new Set(files.map(({ path }) => path));
  for (const file of files) {
    if (file.source === undefined) continue;
    const name = fileName(file.path);
    if (isTemplate(name)) findings.push(...(await scanTemplate(file, file.source, reasons)));
    if (isYaml(name)) {
      const judged = await scanYaml(file, file.source, reasons);
      findings.push(...judged.findings);
      references.push(...judged.references);
    }
    if (!steersLoading(name)) continue;
    const value = await readConfig(file, file.source, { findings, reasons });
    if (value === undefined) continue;
    if (name.endsWith('.index.json')) findings.push(...judgeShardIndex(file.path, value, paths));
    else {
      const judged = judgeConfig(file.path, value);
      findings.push(...judged.findings);
      references.push(...judged.references);
    }
  }
  findings.push(...judgeCode(files, references), ...judgeStores(files));
  reasons.push(...unrecognisedStores(files));
  return judge([], findings, reasons);
}

async function readConfig(
  file: ArtifactFile,
  source: ByteSource,
  { findings, reasons }: { readonly findings: Finding[]; readonly reasons: string[] },
): Promise<JsonValue | undefined> {
  const facts = source.sizeBytes === 0 ? undefined : await readJson(source);
  if (facts?.value !== undefined) return facts.value;
  if (facts === undefined && !file.formats.includes('lfs-pointer')) {
    findings.push(finding('CFG-UNREADABLE', 'the file is not JSON in UTF-8', { path: file.path }));
  }
  const why = facts?.incompleteReasons.join(', ') ?? 'not JSON';
  reasons.push(`\`${file.path}\` steers loading and cannot be read: ${why}`);
  return undefined;
}

async function scanYaml(file: ArtifactFile, source: ByteSource, reasons: string[]): Promise<ConfigJudgement> {
  const outcome = await readYaml(source);
  if (outcome.kind === 'unread') {
    reasons.push(`\`${file.path}\` may steer loading and cannot be read: ${outcome.reason}`);
    return { findings: [], references: [] };
  }
  const judged = outcome.values.map((value) => judgeConfig(file.path, value));
  const tags = outcome.tags.map((tag) =>
    finding('CFG-YAML-TAG', `holds the tag \`${tag.slice(0, 200)}\``, { path: file.path }),
  );
  return {
    findings: [...tags, ...judged.flatMap(({ findings }) => findings)],
    references: judged.flatMap(({ references }) => references),
  };
}

async function scanTemplate(
  file: ArtifactFile,
  source: ByteSource,
  reasons: string[],
): Promise<readonly Finding[]> {
  const text =
    source.sizeBytes > limits.templateBytes ? undefined : decodeUtf8(await source.read(0, source.sizeBytes));
  if (text === undefined) {
    reasons.push(
      `\`${file.path}\` is a template and cannot be read as text of up to ${limits.templateBytes} bytes`,
    );
    return [];
  }
  const found = judgeTemplate(text, '');
  if (found.some(({ ruleId }) => ruleId === 'TPL-UNREADABLE')) {
    reasons.push(`\`${file.path}\` is a template and is not read to its end`);
  }
  return found.map((one) => ({ ...one, location: { path: file.path } }));
}
