import { isDigest } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import { parseJson } from '#lib/json.ts';
import { printable } from '#lib/printable.ts';
import { callServer, member } from './connection.ts';
import type { CommandContext, CommandInput } from './command.ts';

/** An artifact as a person named it, and what it is called in answers. */
export interface NamedArtifact {
  readonly artifact: Digest;
  /** `org/name@0123456789ab`, or the digest where only that was given. */
  readonly label: string;
}

interface Candidate {
  readonly artifact: Digest;
  readonly id: string;
  readonly commit: string;
  readonly references: readonly string[];
}

const shortCommit = 12;
const shownCandidates = 5;

/**
 * `sha256:…`, `org/name` or `org/name@commit-or-reference`; names are exact. With `newest`, a name with several commits
 * means the newest that was asked for; where something is written (approve, deny, promote) the person must say which.
 * Faults `command.usage`, `resource.unknown`.
 */
export async function findArtifact(
  input: CommandInput,
  context: CommandContext,
  choice: 'newest' | 'exact',
): Promise<NamedArtifact> {
  const [text, ...more] = input.positionals;
  if (text === undefined) {
    throw new Fault('command.usage', 'no artifact is named', { hint: 'give its digest or `org/name`' });
  }
  if (more.length > 0) throw new Fault('command.usage', `\`${more[0]}\` is one argument too many`);
  if (isDigest(text)) return { artifact: text, label: text };
  const at = text.lastIndexOf('@');
  const id = at > 0 ? text.slice(0, at) : text;
  const revision = at > 0 ? text.slice(at + 1) : undefined;
  const named = (await search(input, context, id)).filter(
    (one) => one.id === id && isRevision(one, revision),
  );
  const [newest] = named;
  const others = named.filter((one) => one.artifact !== newest?.artifact);
  if (newest === undefined) {
    throw new Fault('resource.unknown', `there is no artifact \`${printable(text)}\` here`, {
      hint: 'pull it through Weighbridge first; the console lists what is here',
    });
  }
  if (others.length > 0 && choice === 'exact') {
    const shown = named.slice(0, shownCandidates).map(labelOf).join(', ');
    throw new Fault('command.usage', `\`${printable(text)}\` has ${named.length} commits here`, {
      hint: `say which: ${shown}`,
    });
  }
  return { artifact: newest.artifact, label: labelOf(newest) };
}

function labelOf({ id, commit }: Candidate): string {
  return `${printable(id)}@${commit.slice(0, shortCommit)}`;
}

function isRevision({ commit, references }: Candidate, revision: string | undefined): boolean {
  if (revision === undefined || references.includes(revision)) return true;
  return /^[0-9a-f]{7,40}$/.test(revision) && commit.startsWith(revision);
}

/** What the inventory finds, newest first. */
async function search(
  input: CommandInput,
  context: CommandContext,
  id: string,
): Promise<readonly Candidate[]> {
  const path = `/wb/v1/artifacts?limit=200&search=${encodeURIComponent(id)}`;
  const items = member(parseJson(await callServer(input, context, { method: 'GET', path })), 'items');
  return (Array.isArray(items) ? items : []).flatMap((row: unknown) => {
    const artifact = member(row, 'artifact');
    const found = member(member(row, 'repository'), 'id');
    const commit = member(row, 'commit');
    const references = member(row, 'references');
    if (!isDigest(artifact) || typeof found !== 'string' || typeof commit !== 'string') return [];
    return [
      { artifact, id: found, commit, references: Array.isArray(references) ? references.map(String) : [] },
    ];
  });
}
