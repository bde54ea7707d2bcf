import { createHash, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { Fault } from '#lib/fault.ts';
import { Redacted } from '#lib/redacted.ts';

/** Names of the Sigstore algorithm registry. ECDSA signatures are ASN.1 DER; Ed25519 ones 64 raw bytes. */
export type KeyAlgorithm =
  | 'ecdsa-sha2-256-nistp256'
  | 'ecdsa-sha2-384-nistp384'
  | 'ecdsa-sha2-512-nistp521'
  | 'ed25519';

interface AlgorithmRow {
  /** Digest that a key store signs; null where the algorithm takes the whole message (RFC 8032). */
  readonly hash: 'sha256' | 'sha384' | 'sha512' | null;
  readonly curve: string | null;
}

/** Hash by curve as OMS v1.0 and the Sigstore registry pair them. */
export const keyAlgorithms: Readonly<Record<KeyAlgorithm, AlgorithmRow>> = {
  'ecdsa-sha2-256-nistp256': { hash: 'sha256', curve: 'prime256v1' },
  'ecdsa-sha2-384-nistp384': { hash: 'sha384', curve: 'secp384r1' },
  'ecdsa-sha2-512-nistp521': { hash: 'sha512', curve: 'secp521r1' },
  ed25519: { hash: null, curve: null },
};

/**
 * One private key, wherever it lives (file, PKCS#11, KMS). `sign` takes the whole message (a DSSE PAE or a note body);
 * an adapter that can only sign digests hashes it with the algorithm's own hash first. Errors: `key.invalid`,
 * `key.missing`.
 */
export interface Signer {
  /** Hex SHA-256 of `publicKeyPem`: the DSSE keyid and a Sigstore bundle's `publicKey.hint`. */
  readonly keyId: string;
  readonly algorithm: KeyAlgorithm;
  /** SPKI PEM in 64 columns with final newline. */
  readonly publicKeyPem: string;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** A public key ready to verify. */
export interface PublicKey {
  readonly keyId: string;
  readonly algorithm: KeyAlgorithm;
  readonly publicKeyPem: string;
  readonly key: KeyObject;
}

/** Hex SHA-256 of the PEM SPKI text (64 columns, final newline), OMS v1.0 "publicKey.hint". */
export function keyIdOf(publicKeyPem: string): string {
  return createHash('sha256').update(publicKeyPem, 'utf8').digest('hex');
}

/**
 * PEM SPKI text to a key. The text is brought to its canonical spelling first, so one key has one id. Fault
 * `key.invalid` for what is not a P-256, P-384, P-521 or Ed25519 public key.
 */
export function parsePublicKey(pem: string): PublicKey {
  if (!pem.includes('-----BEGIN PUBLIC KEY-----') || pem.length > 4096) throw notAPublicKey();
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch (cause) {
    throw notAPublicKey(cause);
  }
  return publicKeyOf(key);
}

/** The public half of a key object. Fault `key.invalid` for an algorithm outside the table. */
export function publicKeyOf(key: KeyObject): PublicKey {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const algorithm = algorithmOf(publicKey);
  const publicKeyPem = publicKey.export({ type: 'spki', format: 'pem' });
  return { keyId: keyIdOf(publicKeyPem), algorithm, publicKeyPem, key: publicKey };
}

/** Is this the key's signature over the whole message? Malformed signatures are simply false. */
export function verifySignature(publicKey: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify(keyAlgorithms[publicKey.algorithm].hash, message, publicKey.key, signature);
  } catch {
    return false;
  }
}

/** A signer over a private key in this process's memory. Fault `key.invalid` for an algorithm outside the table. */
export function signerOf(privateKey: KeyObject): Signer {
  const { keyId, algorithm, publicKeyPem } = publicKeyOf(privateKey);
  const { hash } = keyAlgorithms[algorithm];
  const secret = new Redacted(privateKey);
  return {
    keyId,
    algorithm,
    publicKeyPem,
    sign: (message) => Promise.resolve(new Uint8Array(sign(hash, message, secret.reveal()))),
  };
}

/** The 32 raw bytes of an Ed25519 public key (RFC 8032 §5.1.5), as C2SP notes carry it. Fault `key.invalid`. */
export function rawEd25519(publicKeyPem: string): Uint8Array {
  const { algorithm, key } = parsePublicKey(publicKeyPem);
  const { x } = key.export({ format: 'jwk' });
  if (algorithm !== 'ed25519' || x === undefined) {
    throw new Fault('key.invalid', `the log key must be Ed25519, this one is \`${algorithm}\``);
  }
  return new Uint8Array(Buffer.from(x, 'base64url'));
}

function algorithmOf(key: KeyObject): KeyAlgorithm {
  if (key.asymmetricKeyType === 'ed25519') return 'ed25519';
  const curve = key.asymmetricKeyType === 'ec' ? key.asymmetricKeyDetails?.namedCurve : undefined;
  for (const algorithm of [
    'ecdsa-sha2-256-nistp256',
    'ecdsa-sha2-384-nistp384',
    'ecdsa-sha2-512-nistp521',
  ] as const) {
    if (curve !== undefined && keyAlgorithms[algorithm].curve === curve) return algorithm;
  }
  throw new Fault('key.invalid', `keys of type \`${key.asymmetricKeyType ?? key.type}\` are not supported`, {
    hint: 'use ECDSA on P-256, P-384 or P-521, or Ed25519',
  });
}

function notAPublicKey(cause?: unknown): Fault {
  return new Fault('key.invalid', 'this text is not a public key', {
    hint: 'give a PEM file that begins with `-----BEGIN PUBLIC KEY-----`',
    ...(cause === undefined ? {} : { cause }),
  });
}
