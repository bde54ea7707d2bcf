import type { Digest } from '#artifact/digest.ts';

/** in-toto Attestation Framework v1, "ResourceDescriptor" as far as we write it. Matched by digest only. */
export interface Subject {
  readonly name?: string;
  readonly digest: { readonly sha256: string };
}

/** in-toto Statement v1. */
export interface Statement<P = unknown> {
  readonly _type: typeof statementType;
  readonly subject: readonly Subject[];
  readonly predicateType: string;
  readonly predicate: P;
}

export const statementType = 'https://in-toto.io/Statement/v1';
export const statementPayloadType = 'application/vnd.in-toto+json';

/** DSSE v1 envelope (secure-systems-lab/dsse). `payload` and `sig` are standard base64. */
export interface Envelope {
  readonly payloadType: string;
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

/**
 * Evidence as it stands in the ledger: the exact envelope bytes, where they are in the log, and what they say. It is
 * a claim until `verify` has held it against the trust root.
 */
export interface LoggedEvidence {
  /** SHA-256 of the stored envelope bytes: also its blob digest and the third field of its log leaf. */
  readonly envelopeDigest: Digest;
  readonly envelope: Envelope;
  readonly logIndex: number;
  readonly namespace: string;
  readonly statement: Statement;
}
