import { createHash } from 'node:crypto';
import { Fault } from '#lib/fault.ts';

declare const brand: unique symbol;

/** `sha256:` and 64 lower-case hex digits (OCI image-spec "Digests"). Only `parseDigest` and hashing make one. */
export type Digest = string & { readonly [brand]: 'digest' };

const pattern = /^sha256:[0-9a-f]{64}$/;

/** Text to digest. Fault `digest.invalid` for anything but the canonical spelling. */
export function parseDigest(text: string): Digest {
  if (!pattern.test(text)) {
    throw new Fault('digest.invalid', `\`${text.slice(0, 100)}\` is not a digest`, {
      hint: 'a digest is `sha256:` and 64 lower-case hex digits',
    });
  }
  return text as Digest;
}

export function isDigest(text: unknown): text is Digest {
  return typeof text === 'string' && pattern.test(text);
}

/** 64 lower-case hex digits to digest. */
export function digestOfHex(hex: string): Digest {
  return parseDigest(`sha256:${hex}`);
}

/** SHA-256 of bytes in memory. */
export function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}

/** The 64 hex digits without the algorithm. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}
