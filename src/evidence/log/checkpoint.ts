import { decodeBase64, encodeBase64 } from '#lib/base64.ts';
import { Fault } from '#lib/fault.ts';
import type { LogHead } from '../ledger.ts';
import { rawEd25519, type Signer } from '../signer.ts';
import { encodeNote, makeNoteKey, openNote, signNote, type NoteKey } from './note.ts';

/** The body of a C2SP tlog-checkpoint v1.0.0. */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  /** 32 bytes, RFC 6962 Merkle tree hash. */
  readonly root: Uint8Array;
  /** Lines after the third; we write none. */
  readonly extensions: readonly string[];
}

/** How a log is recognised: its origin and its key, which signs twice (see `signCheckpoint`). */
export interface LogIdentity {
  readonly origin: string;
  /** Type 1: says what the tree is. Its verifier key is what Go's `sumdb/note` takes. */
  readonly noteKey: NoteKey;
  /** Type 4, same key: says since when. */
  readonly timeKey: NoteKey;
}

/** The identity of a log from its Ed25519 public key (SPKI PEM). Fault `key.invalid` for another algorithm. */
export function makeLogIdentity(origin: string, publicKeyPem: string): LogIdentity {
  const raw = rawEd25519(publicKeyPem);
  return { origin, noteKey: makeNoteKey(origin, 1, raw), timeKey: makeNoteKey(origin, 4, raw) };
}

/** Three lines: origin, decimal size, base64 root; then extensions. */
export function encodeCheckpoint(checkpoint: Checkpoint): string {
  const { origin, size, root, extensions } = checkpoint;
  return [origin, String(size), encodeBase64(root), ...extensions].map((line) => `${line}\n`).join('');
}

/** Body text to its parts. Fault `note.invalid` for anything but the canonical spelling. */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin, sizeText, rootText, ...rest] = text.split('\n');
  const size = /^(?:0|[1-9][0-9]{0,15})$/.test(sizeText ?? '') ? Number(sizeText) : Number.NaN;
  const root = decodeBase64(rootText ?? '');
  const extensions = rest.slice(0, -1);
  if (!origin || !Number.isSafeInteger(size) || root?.length !== 32 || rest.at(-1) !== '') throw invalid();
  if (extensions.includes('')) throw invalid();
  return { origin, size, root, extensions };
}

/**
 * The signed checkpoint of a tree. The log key signs it as a note (type 1) and as a timestamped cosignature (type 4,
 * C2SP tlog-cosignature), because the body has no place for a time and `at` of a decision may not be before the
 * checkpoint that it rests on: so the time is signed too and comes back with `reindex`. The two messages cannot be
 * confused, since an origin never is `cosignature/v1`.
 */
export async function signCheckpoint(
  log: LogIdentity,
  signer: Signer,
  tree: { readonly size: number; readonly root: Uint8Array; readonly timeSeconds: number },
): Promise<LogHead> {
  const text = encodeCheckpoint({ origin: log.origin, size: tree.size, root: tree.root, extensions: [] });
  const signatures = [
    await signNote(text, log.noteKey, signer, tree.timeSeconds),
    await signNote(text, log.timeKey, signer, tree.timeSeconds),
  ];
  return {
    size: tree.size,
    rootHash: encodeBase64(tree.root),
    checkpoint: encodeNote({ text, signatures }),
    signedAtMs: tree.timeSeconds * 1000,
  };
}

/**
 * A signed checkpoint of this log as a head. Both signatures of the log must be there and hold. Fault `note.invalid`.
 */
export function openCheckpoint(encoded: string, log: LogIdentity): LogHead & { readonly root: Uint8Array } {
  const { text, verified } = openNote(encoded, [log.noteKey, log.timeKey]);
  const { origin, size, root } = parseCheckpoint(text);
  if (origin !== log.origin) {
    throw new Fault('note.invalid', `the checkpoint is of the log \`${origin}\`, not of \`${log.origin}\``);
  }
  const times = verified.map(({ timeSeconds }) => timeSeconds).filter((time) => time !== undefined);
  if (times.length === 0 || times.length === verified.length) {
    throw new Fault('note.invalid', 'the checkpoint lacks one of the two signatures of the log', {
      hint: 'the log signs a note signature and a timestamped one',
    });
  }
  return {
    size,
    root,
    rootHash: encodeBase64(root),
    checkpoint: encoded,
    signedAtMs: Math.max(...times) * 1000,
  };
}

function invalid(): Fault {
  return new Fault('note.invalid', 'the text of this note is not a checkpoint', {
    hint: 'a checkpoint has the lines origin, decimal size and base64 root',
  });
}
