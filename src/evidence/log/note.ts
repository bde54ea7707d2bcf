import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto';
import { decodeBase64, encodeBase64 } from '#lib/base64.ts';
import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import type { Signer } from '../signer.ts';

/** C2SP signed-note v1.0.0: `text` ends in a newline and may hold blank lines. */
export interface Note {
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export interface NoteSignature {
  readonly name: string;
  /** uint32, a hint only: four bytes of a hash. */
  readonly keyId: number;
  readonly signature: Uint8Array;
}

/** 1 = Ed25519 over the text; 4 = timestamped Ed25519 cosignature (C2SP tlog-cosignature v1). */
export type NoteKeyType = 1 | 4;

/** A key that may sign notes, as a verifier is configured with it. */
export interface NoteKey {
  readonly name: string;
  readonly type: NoteKeyType;
  readonly keyId: number;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly key: KeyObject;
}

/** A signature that holds. `timeSeconds` is what a cosignature says it was made at (POSIX), undefined for type 1. */
export interface VerifiedNoteSignature extends NoteSignature {
  readonly timeSeconds: number | undefined;
}

export interface OpenedNote {
  readonly text: string;
  readonly verified: readonly VerifiedNoteSignature[];
  /** Kept, never trusted: signatures of keys that the verifier does not know. */
  readonly unknown: readonly NoteSignature[];
}

/** A name and 32 public key bytes to a key. Fault `key.invalid` for a name with spaces or plus, or other lengths. */
export function makeNoteKey(name: string, type: NoteKeyType, publicKey: Uint8Array): NoteKey {
  if (!isKeyName(name)) {
    throw new Fault('key.invalid', `\`${name.slice(0, 100)}\` is not a note key name`, {
      hint: 'a name has no spaces, no plus and no control characters, such as `example.org/log`',
    });
  }
  if (publicKey.length !== 32) throw new Fault('key.invalid', 'an Ed25519 public key has 32 bytes');
  const x = Buffer.from(publicKey).toString('base64url');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  const digest = createHash('sha256')
    .update(`${name}\n`)
    .update(Uint8Array.of(type))
    .update(publicKey)
    .digest();
  return { name, type, keyId: digest.readUInt32BE(0), publicKey, key };
}

/** `name+hex8+base64(type ‖ key)`, signed-note "Verifier keys". */
export function encodeVerifierKey({ name, type, keyId, publicKey }: NoteKey): string {
  const material = Buffer.concat([Uint8Array.of(type), publicKey]);
  return `${name}+${keyId.toString(16).padStart(8, '0')}+${encodeBase64(material)}`;
}

/** A verifier key to a key. Fault `key.invalid` for other types than 1 and 4 or an id that does not belong to it. */
export function parseVerifierKey(text: string): NoteKey {
  const match = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(text);
  const material = decodeBase64(match?.[3] ?? '');
  const type = material?.[0];
  if (match?.[1] === undefined || material === undefined || (type !== 1 && type !== 4)) {
    throw new Fault('key.invalid', 'this text is not an Ed25519 verifier key', {
      hint: 'a verifier key reads `name+<8 hex digits>+<base64>`',
    });
  }
  const key = makeNoteKey(match[1], type, material.subarray(1));
  if (key.keyId !== Number.parseInt(match[2] ?? '', 16)) {
    throw new Fault('key.invalid', `the verifier key of \`${key.name}\` carries the id of another key`);
  }
  return key;
}

/** One signature of a text; `timeSeconds` is written into cosignatures and ignored for type 1. */
export async function signNote(
  text: string,
  key: NoteKey,
  signer: Signer,
  timeSeconds: number,
): Promise<NoteSignature> {
  const signature = await signer.sign(signedBytes(key.type, text, timeSeconds));
  const time = key.type === 4 ? encodeTime(timeSeconds) : new Uint8Array(0);
  return { name: key.name, keyId: key.keyId, signature: Buffer.concat([time, signature]) };
}

/** The note as text. Fault `note.invalid` where text or names could not be read back. */
export function encodeNote(note: Note): string {
  const lines = note.signatures.map(({ name, keyId, signature }) => {
    const id = Buffer.alloc(4);
    id.writeUInt32BE(keyId);
    return `— ${name} ${encodeBase64(Buffer.concat([id, signature]))}\n`;
  });
  const encoded = `${note.text}\n${lines.join('')}`;
  parseNote(encoded);
  return encoded;
}

/**
 * Note text to its parts, without verifying anything: valid Unicode, no control character but newline, text and
 * signatures separated by the last blank line, 1 to `limits.noteSignatures` signatures. Fault `note.invalid`.
 */
export function parseNote(encoded: string): Note {
  if (encoded.length > limits.noteBytes) throw invalid('it is too large');
  if (!encoded.isWellFormed()) throw invalid('it is not valid Unicode');
  if (/[\u0000-\u0009\u000b-\u001f]/.test(encoded)) throw invalid('it holds a control character');
  const split = encoded.lastIndexOf('\n\n');
  if (split < 0 || !encoded.endsWith('\n')) throw invalid('it has no signatures');
  const lines = encoded
    .slice(split + 2)
    .split('\n')
    .slice(0, -1);
  if (lines.length === 0) throw invalid('it has no signatures');
  if (lines.length > limits.noteSignatures)
    throw invalid(`it has more than ${limits.noteSignatures} signatures`);
  return { text: encoded.slice(0, split + 1), signatures: lines.map(parseSignatureLine) };
}

/**
 * Holds a note against the keys that a verifier knows. A key is known by name and id together. Fault `note.invalid`
 * when a signature of a known key is wrong, or when no known key signed.
 */
export function openNote(encoded: string, keys: readonly NoteKey[]): OpenedNote {
  const { text, signatures } = parseNote(encoded);
  const verified: VerifiedNoteSignature[] = [];
  const unknown: NoteSignature[] = [];
  for (const signature of signatures) {
    const key = keys.find(({ name, keyId }) => name === signature.name && keyId === signature.keyId);
    if (key === undefined) {
      unknown.push(signature);
      continue;
    }
    const opened = openSignature(text, key, signature);
    if (opened === undefined) throw invalid(`the signature of \`${key.name}\` does not hold`);
    verified.push(opened);
  }
  if (verified.length === 0) throw invalid('no known key signed it');
  return { text, verified, unknown };
}

function openSignature(
  text: string,
  key: NoteKey,
  signature: NoteSignature,
): VerifiedNoteSignature | undefined {
  const bytes = Buffer.from(signature.signature);
  if (key.type === 1) {
    const holds = bytes.length === 64 && verify(null, signedBytes(1, text, 0), key.key, bytes);
    return holds ? { ...signature, timeSeconds: undefined } : undefined;
  }
  if (bytes.length !== 72) return undefined;
  const time = bytes.readBigUInt64BE(0);
  if (time > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  const timeSeconds = Number(time);
  const holds = verify(null, signedBytes(4, text, timeSeconds), key.key, bytes.subarray(8));
  return holds ? { ...signature, timeSeconds } : undefined;
}

function signedBytes(type: NoteKeyType, text: string, timeSeconds: number): Uint8Array {
  return Buffer.from(type === 1 ? text : `cosignature/v1\ntime ${timeSeconds}\n${text}`, 'utf8');
}

function encodeTime(timeSeconds: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(timeSeconds));
  return bytes;
}

function parseSignatureLine(line: string): NoteSignature {
  const match = /^— (\S+) (\S+)$/u.exec(line);
  const name = match?.[1];
  const bytes = decodeBase64(match?.[2] ?? '');
  if (name === undefined || !isKeyName(name) || bytes === undefined || bytes.length < 5) {
    throw invalid('a signature line is malformed');
  }
  return { name, keyId: Buffer.from(bytes).readUInt32BE(0), signature: bytes.subarray(4) };
}

function isKeyName(name: string): boolean {
  return name.length > 0 && name.length <= 255 && !/[\s+\p{Z}\p{Cc}]/u.test(name) && name.isWellFormed();
}

function invalid(why: string): Fault {
  return new Fault('note.invalid', `this is not a signed note that can be trusted: ${why}`);
}
