import { generateKeyPairSync, hash } from 'node:crypto';
import { signStatement } from '#evidence/envelope.ts';
import type { PendingEntry } from '#evidence/ledger.ts';
import { signerOf, type Signer } from '#evidence/signer.ts';
import { makeStatement } from '#evidence/statement.ts';

/** A fresh Ed25519 signer. */
export function ed25519Signer(): Signer {
  return signerOf(generateKeyPairSync('ed25519').privateKey);
}

/** A fresh ECDSA signer. */
export function ecdsaSigner(namedCurve: 'P-256' | 'P-384' | 'P-521' = 'P-256'): Signer {
  return signerOf(generateKeyPairSync('ec', { namedCurve }).privateKey);
}

/** A signed entry that no other call makes, unless `label` is the same and the signer deterministic (Ed25519). */
export async function pendingEntry(
  signer: Signer,
  label: string,
  namespace = 'default',
  predicateType = 'https://example.com/evidence/note/v1',
): Promise<PendingEntry> {
  const sha256 = hash('sha256', label);
  const statement = makeStatement({
    namespace,
    predicateType,
    subject: [{ digest: { sha256 } }],
    predicate: { label },
  });
  const { envelope } = await signStatement(statement, signer);
  return { namespace, statement, envelope };
}
