import { encodeEnvelope, decodePayload, parseEnvelope } from '#evidence/envelope.ts';
import { encodeProof, proveEntry } from '#evidence/log/proof.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import { parseStatement } from '#evidence/statement.ts';
import { Fault } from '#lib/fault.ts';
import { encodeTar } from '#lib/tar.ts';
import { limits } from '#lib/limits.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Question } from '#policy/decision.ts';
import { encodeOfflineBundle } from '#policy/offline.ts';
import type { OfflineParts, ProvenEnvelope } from '#policy/offline.ts';
import { subjectAsDecided } from '#policy/vsa.ts';
import type { House } from '../wire.ts';

interface Located {
  readonly envelope: Uint8Array;
  readonly logIndex: number;
}

const attempts = 8;

/**
 * The decision about the question as an archive that checks itself: subject, policy, trust roots, the evidence it rests
 * on, and a proof for each against one checkpoint. Faults `resource.unknown`, `ledger.unavailable`.
 */
export async function exportDecision(house: House, question: Question): Promise<Uint8Array> {
  const { kept, dossier } = await house.decisions.asked(question);
  await house.log.projector.project();
  const recorded: Located = { envelope: await readBlob(house, kept.envelopeDigest), logIndex: kept.logIndex };
  const statement = parseStatement(decodePayload(parseEnvelope(recorded.envelope)));
  const known = new Map(dossier.evidence.map((entry) => [entry.envelopeDigest, entry]));
  const evidence = kept.decision.evidenceUsed.map((digest): Located => {
    const entry = known.get(digest);
    if (entry === undefined)
      throw new Fault(
        'internal.unexpected',
        `the evidence \`${digest}\` of the decision is not about its subject`,
      );
    return { envelope: encodeEnvelope(entry.envelope), logIndex: entry.logIndex };
  });
  const trust = (await house.systemEntries(predicateTypes.trustRoot)).map((entry): Located => ({
    envelope: encodeEnvelope(entry.envelope),
    logIndex: entry.logIndex,
  }));
  const policy = await readBlob(house, kept.decision.policyDigest);
  const proven = await proveAll(house, [recorded, ...trust, ...evidence]);
  const [decision, ...others] = proven.envelopes;
  if (decision === undefined) throw new Fault('internal.unexpected', 'the decision was not proven');
  const parts: OfflineParts = {
    subject: subjectAsDecided(statement, dossier.subject),
    trust: others.slice(0, trust.length),
    policy,
    evidence: others.slice(trust.length),
    decision,
    checkpoint: proven.checkpoint,
  };
  return encodeTar(encodeOfflineBundle(parts));
}

/** Proofs of all entries against one and the same checkpoint; the log may grow while they are made, then again. */
async function proveAll(
  house: House,
  entries: readonly Located[],
): Promise<{ readonly checkpoint: string; readonly envelopes: readonly ProvenEnvelope[] }> {
  const { files, sequencer } = house.log;
  for (let attempt = 0; attempt < attempts; attempt++) {
    const envelopes: ProvenEnvelope[] = [];
    const checkpoints = new Set<string>();
    for (const { envelope, logIndex } of entries) {
      const proof = await proveEntry(files, sequencer.log, logIndex);
      checkpoints.add(proof.checkpoint);
      envelopes.push({ envelope, proof: encodeProof(proof) });
    }
    const [checkpoint, ...more] = checkpoints;
    if (checkpoint !== undefined && more.length === 0) return { checkpoint, envelopes };
  }
  throw new Fault('ledger.unavailable', 'the log grew faster than it could be proven', { hint: 'try again' });
}

async function readBlob(house: House, digest: Digest): Promise<Uint8Array> {
  await using blob = await house.stores.blobs.open(digest);
  if (blob === undefined)
    throw new Fault('blob.missing', `\`${digest}\` is not in the blob store`, {
      hint: 'run `weighbridge doctor`',
    });
  if (blob.sizeBytes > limits.envelopeBytes)
    throw new Fault('limit.exceeded', `\`${digest}\` is too large for a bundle`);
  return blob.read(0, blob.sizeBytes);
}
