import { digestOf, type Digest } from '#artifact/digest.ts';
import { decodeBase64, encodeBase64 } from '#lib/base64.ts';
import { Fault } from '#lib/fault.ts';
import { encodeJcs } from '#lib/jcs.ts';
import { isJsonObject, parseJson, type JsonValue } from '#lib/json.ts';
import { limits } from '#lib/limits.ts';
import type { Signer } from './signer.ts';
import { encodeStatement, statementPayloadType, type Envelope, type Statement } from './statement.ts';

/** A statement in its envelope with everything that the ledger keeps of it. */
export interface SignedStatement {
  readonly statement: Statement;
  readonly envelope: Envelope;
  /** What is stored: `encodeEnvelope(envelope)`. */
  readonly envelopeBytes: Uint8Array;
  readonly envelopeDigest: Digest;
  /** SHA-256 of the signed bytes; the same for every signature over one payload. */
  readonly paeDigest: Digest;
}

/** DSSE v1 pre-authentication encoding: the bytes that are signed. Lengths are in bytes. */
export function encodePae(payloadType: string, payload: Uint8Array): Uint8Array {
  const typeBytes = Buffer.byteLength(payloadType);
  const head = Buffer.from(`DSSEv1 ${typeBytes} ${payloadType} ${payload.length} `, 'utf8');
  return Buffer.concat([head, payload]);
}

/** The stored form: JCS (RFC 8785) bytes. Their SHA-256 is the blob digest of the envelope. */
export function encodeEnvelope(envelope: Envelope): Uint8Array {
  return encodeJcs({
    payloadType: envelope.payloadType,
    payload: envelope.payload,
    signatures: envelope.signatures.map(({ keyid, sig }) => ({ keyid, sig })),
  });
}

/** The raw payload. Fault `envelope.invalid` where it is not standard base64. */
export function decodePayload(envelope: Envelope): Uint8Array {
  return base64Member(envelope.payload, 'payload');
}

/** The bytes that every signature of this envelope signs. */
export function paeOf(envelope: Envelope): Uint8Array {
  return encodePae(envelope.payloadType, decodePayload(envelope));
}

/**
 * Envelope JSON from anywhere. `keyid` may be absent, null or `""` (all three exist in OMS bundles) and is then `""`;
 * other members are ignored (DSSE v1 "Parsing"). Between 1 and `limits.signaturesPerEnvelope` signatures, at most
 * `limits.envelopeBytes`. Faults `envelope.invalid`, `json.invalid`, `limit.exceeded`.
 */
export function parseEnvelope(bytes: Uint8Array): Envelope {
  return parseEnvelopeValue(parseJson(bytes, { bytes: limits.envelopeBytes }));
}

/** The same for JSON that is parsed already, such as the `dsseEnvelope` of a bundle. */
export function parseEnvelopeValue(value: JsonValue | undefined): Envelope {
  if (!isJsonObject(value)) throw invalid('it is not an object');
  const { payloadType, payload, signatures } = value;
  if (typeof payloadType !== 'string' || payloadType === '' || payloadType.length > 255) {
    throw invalid('it has no `payloadType`');
  }
  if (typeof payload !== 'string') throw invalid('it has no `payload`');
  base64Member(payload, 'payload');
  if (!Array.isArray(signatures) || signatures.length === 0) throw invalid('it has no signature');
  if (signatures.length > limits.signaturesPerEnvelope) {
    throw new Fault('limit.exceeded', `an envelope has at most ${limits.signaturesPerEnvelope} signatures`);
  }
  return { payloadType, payload, signatures: signatures.map(parseSignature) };
}

/**
 * Signs a statement: JCS payload, one DSSE signature per signer in the order given. Deterministic apart from ECDSA's
 * own randomness. Faults `key.*` of the signer, `limit.exceeded` for an envelope above `limits.envelopeBytes`.
 */
export async function signStatement(
  statement: Statement,
  ...signers: readonly [Signer, ...Signer[]]
): Promise<SignedStatement> {
  const payload = encodeStatement(statement);
  const pae = encodePae(statementPayloadType, payload);
  const signatures: { keyid: string; sig: string }[] = [];
  for (const signer of signers) {
    signatures.push({ keyid: signer.keyId, sig: encodeBase64(await signer.sign(pae)) });
  }
  const envelope = { payloadType: statementPayloadType, payload: encodeBase64(payload), signatures };
  const envelopeBytes = encodeEnvelope(envelope);
  if (envelopeBytes.length > limits.envelopeBytes) {
    throw new Fault('limit.exceeded', `an envelope has at most ${limits.envelopeBytes} bytes`);
  }
  const envelopeDigest = digestOf(envelopeBytes);
  return { statement, envelope, envelopeBytes, envelopeDigest, paeDigest: digestOf(pae) };
}

function parseSignature(value: JsonValue): { keyid: string; sig: string } {
  if (!isJsonObject(value)) throw invalid('a signature is not an object');
  const keyid = value['keyid'] ?? '';
  const sig = value['sig'];
  if (typeof keyid !== 'string' || keyid.length > 1024) throw invalid('a `keyid` is not text');
  if (typeof sig !== 'string' || base64Member(sig, 'sig').length === 0) throw invalid('a `sig` is missing');
  return { keyid, sig };
}

function base64Member(text: string, member: string): Uint8Array {
  const bytes = decodeBase64(text);
  if (bytes === undefined) throw invalid(`its \`${member}\` is not standard base64`);
  return bytes;
}

function invalid(why: string): Fault {
  return new Fault('envelope.invalid', `this is not a DSSE envelope: ${why}`);
}
