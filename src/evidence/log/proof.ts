import { decodeBase64, encodeBase64 } from '#lib/base64.ts';
import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { leafHash, proveConsistency, proveInclusion, verifyInclusion } from '#lib/merkle.ts';
import type { LogHead } from '../ledger.ts';
import { openCheckpoint, type LogIdentity } from './checkpoint.ts';
import type { LogFiles } from './log-files.ts';
import { withNodes } from './tile.ts';

const header = 'c2sp.org/tlog-proof@v1';

/** C2SP tlog-proof v1: all that is needed to check offline that a leaf is in a log. Kept as a `.tlog-proof` sidecar. */
export interface LogProof {
  readonly index: number;
  /** RFC 6962 §2.1.1 audit path, 32 bytes each, from the leaf's sibling up. */
  readonly hashes: readonly Uint8Array[];
  /** The signed checkpoint, verbatim. */
  readonly checkpoint: string;
  /** Not authenticated; we write none. */
  readonly extra?: Uint8Array;
}

/** The sidecar text. */
export function encodeProof({ index, hashes, checkpoint, extra }: LogProof): string {
  const lines = [
    header,
    ...(extra === undefined ? [] : [`extra ${encodeBase64(extra)}`]),
    `index ${index}`,
    ...hashes.map(encodeBase64),
    '',
    checkpoint,
  ];
  return lines.join('\n');
}

/** Sidecar text to a proof; the checkpoint is not opened. Fault `proof.invalid`. */
export function parseProof(text: string): LogProof {
  if (text.length > limits.noteBytes) throw invalid('it is too large');
  const split = text.indexOf('\n\n');
  if (split < 0) throw invalid('it has no checkpoint');
  const lines = text.slice(0, split).split('\n');
  if (lines.shift() !== header) throw invalid(`it does not begin with \`${header}\``);
  const extraLine = lines[0]?.startsWith('extra ') ? lines.shift() : undefined;
  const extra = extraLine === undefined ? undefined : decodeBase64(extraLine.slice('extra '.length));
  if (extraLine !== undefined && extra === undefined) throw invalid('its extra line is not base64');
  const index = /^index (0|[1-9]\d{0,15})$/.exec(lines.shift() ?? '')?.[1];
  if (index === undefined || !Number.isSafeInteger(Number(index))) throw invalid('it has no index line');
  if (lines.length > 63) throw invalid('it has more than 63 hashes');
  const hashes = lines.map((line) => {
    const hash = decodeBase64(line);
    if (hash?.length !== 32) throw invalid('a line is not a SHA-256 hash');
    return hash;
  });
  const checkpoint = text.slice(split + 2);
  return { index: Number(index), hashes, checkpoint, ...(extra === undefined ? {} : { extra }) };
}

/**
 * Does this log contain this leaf, as the proof says? The head that proves it, whose time is signed; Faults
 * `note.invalid` for a checkpoint that is not the log's, `proof.invalid` for anything else.
 */
export function verifyProof(proof: LogProof, leaf: Uint8Array, log: LogIdentity): LogHead {
  const { root, ...head } = openCheckpoint(proof.checkpoint, log);
  const claim = { index: proof.index, size: head.size, root };
  if (!verifyInclusion(claim, leafHash(leaf), proof.hashes))
    throw invalid('the leaf is not in the tree at this index');
  return head;
}

/** The proof that a published tree holds the entry at `index`. Fault `proof.invalid` where it is not published. */
export async function proveEntry(files: LogFiles, log: LogIdentity, index: number): Promise<LogProof> {
  const head = await readPublished(files, log);
  if (head === undefined || !Number.isSafeInteger(index) || index < 0 || index >= head.size) {
    throw invalid(`the published log has no entry ${index}`);
  }
  const hashes = await withNodes(files, head.size, (readNode) => proveInclusion(index, head.size, readNode));
  return { index, hashes, checkpoint: head.checkpoint };
}

/** The proof that the published tree extends the one of `oldSize` leaves. Fault `proof.invalid`. */
export async function proveExtension(
  files: LogFiles,
  log: LogIdentity,
  oldSize: number,
): Promise<{ readonly hashes: readonly Uint8Array[]; readonly head: LogHead }> {
  const head = await readPublished(files, log);
  if (head === undefined || !Number.isSafeInteger(oldSize) || oldSize < 0 || oldSize > head.size) {
    throw invalid(`the published log has no tree of ${oldSize} entries`);
  }
  const hashes = await withNodes(files, head.size, (readNode) =>
    proveConsistency(oldSize, head.size, readNode),
  );
  return { hashes, head };
}

/** The published head, its signatures checked; undefined before the first publication. Fault `note.invalid`. */
export async function readPublished(files: LogFiles, log: LogIdentity): Promise<LogHead | undefined> {
  const bytes = await files.read('checkpoint');
  if (bytes === undefined) return undefined;
  const { root: _, ...head } = openCheckpoint(Buffer.from(bytes).toString('utf8'), log);
  return head;
}

function invalid(why: string): Fault {
  return new Fault('proof.invalid', `this does not prove that the log has the entry: ${why}`);
}
