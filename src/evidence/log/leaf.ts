import { digestOfHex, hexOf, type Digest } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';

const leafVersion = 1;
/** One version byte and two SHA-256 digests. */
export const leafBytes = 65;

/** What a log entry commits to: the signed bytes and the stored envelope (signatures included). */
export interface Leaf {
  readonly paeDigest: Digest;
  readonly envelopeDigest: Digest;
}

/** 0x01 ‖ SHA-256(PAE) ‖ SHA-256(envelope bytes): DESIGN "Truth and its order". A digest only, so nothing private. */
export function encodeLeaf({ paeDigest, envelopeDigest }: Leaf): Uint8Array {
  const digests = Buffer.from(hexOf(paeDigest) + hexOf(envelopeDigest), 'hex');
  return Buffer.concat([Uint8Array.of(leafVersion), digests]);
}

/** Fault `envelope.invalid` for another version or length. */
export function parseLeaf(bytes: Uint8Array): Leaf {
  if (bytes.length !== leafBytes || bytes[0] !== leafVersion) {
    throw new Fault('envelope.invalid', `a log leaf has ${leafBytes} bytes and begins with ${leafVersion}`);
  }
  const hex = Buffer.from(bytes.subarray(1)).toString('hex');
  return { paeDigest: digestOfHex(hex.slice(0, 64)), envelopeDigest: digestOfHex(hex.slice(64)) };
}
