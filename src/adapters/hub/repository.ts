import { Fault } from '#lib/fault.ts';
import { isJsonObject, type JsonValue } from '#lib/json.ts';
import { limits } from '#lib/limits.ts';
import type { HubCard, HubRef, HubRefs } from './hub-values.ts';
import { lie } from './lie.ts';

const commitPattern = /^[0-9a-f]{40}$/;
const maximumTags = 500;
const maximumRefs = 10_000;
const maximumText = 200;

/** The commit of a `revision` answer. A commit asked for by its hash must come back as itself. */
export function parseCommit(value: JsonValue, revision: string): string {
  const sha = isJsonObject(value) ? value['sha'] : undefined;
  if (typeof sha !== 'string' || !commitPattern.test(sha)) {
    throw lie('malformed-answer', 'upstream answered a revision without a commit');
  }
  if (commitPattern.test(revision) && sha !== revision) {
    throw lie('changed-commit', `upstream answered commit \`${revision}\` with \`${sha}\``);
  }
  return sha;
}

/** What is shown about a repository. Anything malformed is left out: nothing is decided on it. */
export function parseCard(value: JsonValue): HubCard {
  const row = isJsonObject(value) ? value : {};
  const tags = Array.isArray(row['tags']) ? row['tags'] : [];
  return {
    createdAt: text(row['createdAt']),
    lastModified: text(row['lastModified']),
    tags: tags
      .map(text)
      .filter((tag) => tag !== undefined)
      .slice(0, maximumTags),
    pipelineTag: text(row['pipeline_tag']),
    libraryName: text(row['library_name']),
    downloads: count(row['downloads']),
    likes: count(row['likes']),
  };
}

/** The files that a `revision` answer names (`siblings`), for holding the tree against them. Malformed rows are left out. */
export function parsePaths(value: JsonValue): readonly string[] {
  const siblings = isJsonObject(value) ? value['siblings'] : undefined;
  if (!Array.isArray(siblings)) return [];
  return siblings
    .slice(0, limits.artifactFiles)
    .map((row: JsonValue) => (isJsonObject(row) ? row['rfilename'] : undefined))
    .filter((path) => typeof path === 'string');
}

function text(value: unknown): string | undefined {
  if (typeof value !== 'string' || value.length > maximumText) return undefined;
  return /[\p{C}\p{Zl}\p{Zp}]/u.test(value) ? undefined : value;
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

export function parseRefs(value: JsonValue): HubRefs {
  if (!isJsonObject(value)) throw lie('malformed-answer', 'upstream answered `refs` without an object');
  return { branches: rows(value['branches']), tags: rows(value['tags']) };
}

function rows(value: JsonValue | undefined): readonly HubRef[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw lie('malformed-answer', 'upstream answered `refs` without lists');
  if (value.length > maximumRefs) throw new Fault('limit.exceeded', `more than ${maximumRefs} references`);
  return value.map((row: JsonValue) => {
    const { name, ref, targetCommit } = isJsonObject(row) ? row : {};
    const [cleanName, cleanRef] = [text(name), text(ref)];
    if (cleanName === undefined || cleanRef === undefined) {
      throw lie('malformed-answer', 'upstream answered a reference without a name');
    }
    if (typeof targetCommit !== 'string' || !commitPattern.test(targetCommit)) {
      throw lie('malformed-answer', `upstream answered \`${cleanRef}\` without a commit`);
    }
    return { name: cleanName, ref: cleanRef, commit: targetCommit };
  });
}
