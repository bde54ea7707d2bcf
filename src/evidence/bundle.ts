import { decodeBase64 } from '#lib/base64.ts';
import { Fault } from '#lib/fault.ts';
import { encodeJcs } from '#lib/jcs.ts';
import { isJsonObject, parseJson, type JsonValue } from '#lib/json.ts';
import { limits } from '#lib/limits.ts';
import { parseEnvelopeValue } from './envelope.ts';
import { parsePublicKey } from './signer.ts';
import type { Envelope } from './statement.ts';

export const bundleMediaType = 'application/vnd.dev.sigstore.bundle.v0.3+json';

/** With what a bundle says it can be verified. A claim: trust decides which keys and certificates count. */
export type VerificationMaterial =
  | { readonly kind: 'key'; readonly keyId: string }
  /** OMS before v1.0 carried the PEM text itself. */
  | { readonly kind: 'key-text'; readonly keyId: string; readonly publicKeyPem: string }
  /** DER, leaf first. */
  | { readonly kind: 'certificates'; readonly certificates: readonly Uint8Array[] };

export interface Bundle {
  readonly envelope: Envelope;
  readonly material: VerificationMaterial;
}

/**
 * The Sigstore bundle v0.3 of an envelope signed by one key (OMS v1.0 "Verification Material"), as JCS bytes. Derived
 * when asked for and never stored. Log proofs stay outside, in `.tlog-proof` sidecars, because OMS verifiers of the key
 * method expect `tlogEntries` to be empty. Fault `bundle.invalid` where the key did not sign: a verifier of the key
 * method reads the first signature only, so that key's signature is put alone into the bundle.
 */
export function encodeBundle(envelope: Envelope, keyId: string): Uint8Array {
  const signature = envelope.signatures.find(({ keyid }) => keyid === keyId);
  if (signature === undefined) throw invalid(`the key \`${keyId}\` did not sign this envelope`);
  const { payloadType, payload } = envelope;
  return encodeJcs({
    mediaType: bundleMediaType,
    verificationMaterial: { publicKey: { hint: keyId }, tlogEntries: [] },
    dsseEnvelope: { payloadType, payload, signatures: [{ keyid: signature.keyid, sig: signature.sig }] },
  });
}

/**
 * A Sigstore bundle v0.3 with a DSSE envelope from anywhere. `tlogEntries` may be absent, empty or filled; what is in
 * it proves nothing here and is not read. Faults `bundle.invalid`, `envelope.invalid`, `json.invalid`,
 * `limit.exceeded`.
 */
export function parseBundle(bytes: Uint8Array): Bundle {
  const value = parseJson(bytes, { bytes: limits.envelopeBytes });
  if (!isJsonObject(value)) throw invalid('it is not an object');
  const known = [bundleMediaType, 'application/vnd.dev.sigstore.bundle+json;version=0.3'];
  if (!known.some((mediaType) => mediaType === value['mediaType']))
    throw invalid('its media type is not v0.3');
  if (value['dsseEnvelope'] === undefined) throw invalid('it has no DSSE envelope');
  const material = parseMaterial(value['verificationMaterial']);
  return { envelope: parseEnvelopeValue(value['dsseEnvelope']), material };
}

function parseMaterial(value: JsonValue | undefined): VerificationMaterial {
  if (!isJsonObject(value)) throw invalid('it has no verification material');
  const { publicKey, certificate, x509CertificateChain } = value;
  const given = [publicKey, certificate, x509CertificateChain].filter((one) => one !== undefined);
  if (given.length !== 1) throw invalid('it does not have exactly one kind of verification material');
  if (isJsonObject(publicKey)) return parseKey(publicKey);
  if (isJsonObject(certificate))
    return { kind: 'certificates', certificates: [parseCertificate(certificate)] };
  const chain = isJsonObject(x509CertificateChain) ? x509CertificateChain['certificates'] : undefined;
  if (!Array.isArray(chain) || chain.length === 0 || chain.length > 16)
    throw invalid('its certificate chain is malformed');
  return { kind: 'certificates', certificates: chain.map(parseCertificate) };
}

function parseKey(publicKey: { readonly [member: string]: JsonValue }): VerificationMaterial {
  const { hint, rawBytes } = publicKey;
  if (typeof hint === 'string' && /^[0-9a-f]{64}$/.test(hint)) return { kind: 'key', keyId: hint };
  const pem = typeof rawBytes === 'string' ? decodeBase64(rawBytes) : undefined;
  if (pem === undefined) throw invalid('its public key has neither a hint nor bytes');
  const { keyId, publicKeyPem } = parsePublicKey(Buffer.from(pem).toString('utf8'));
  return { kind: 'key-text', keyId, publicKeyPem };
}

function parseCertificate(value: JsonValue): Uint8Array {
  const rawBytes = isJsonObject(value) ? value['rawBytes'] : undefined;
  const bytes = typeof rawBytes === 'string' ? decodeBase64(rawBytes) : undefined;
  if (bytes === undefined || bytes.length === 0) throw invalid('a certificate is malformed');
  return bytes;
}

function invalid(why: string): Fault {
  return new Fault('bundle.invalid', `this is not a Sigstore bundle that can be read: ${why}`);
}
