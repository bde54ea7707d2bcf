import { encodeBundle } from '#evidence/bundle.ts';
import { makeModelSignatureStatement } from '#evidence/model-signature.ts';
import { encodeVerifierKey } from '#evidence/log/note.ts';
import type { Digest } from '#artifact/digest.ts';
import { Fault, toFault } from '#lib/fault.ts';
import { gates } from '#gates/gates.ts';
import { explain } from '#policy/explain.ts';
import type { Caller, Desk } from '../routes/people.ts';
import { openTriageDesk } from '../triage/triage-desk.ts';
import type { House } from '../wire.ts';
import { openAccessDesk } from './access.ts';
import { openAdoptionDesk } from './adoptions.ts';
import { examine } from './doctor.ts';
import { exportDecision } from './export.ts';
import { openIntakesDesk } from './intakes.ts';
import { approveArtifact, denyArtifact } from './human.ts';
import { listArtifacts, showArtifact } from './inventory.ts';
import { openQueueDesk } from './queue.ts';
import { openSandboxDesk } from './sandbox.ts';
import { openUpstreamDesk } from './upstreams.ts';

/** The house as people see it. */
export function openDesk(house: House): Desk {
  const { arrivals, catalog, clock, decisions, decisionStore, dossiers, log, stores, trust, writer } = house;
  const inventory = {
    catalog,
    dossiers,
    references: arrivals.references,
    kept: async (namespace: string, artifact: Digest) =>
      (await decisionStore.list(namespace, artifact)).toReversed(),
  };
  const write = (namespace: string, statements: Parameters<typeof writer.write>[1]) =>
    writer.write(namespace, statements, stores.keys.evidence);
  /** Whoever decided by hand sees what follows from it. The statement stands either way; others are reconsidered behind. */
  const settle = (namespace: string, artifact: Digest): Promise<void> =>
    decisions.reconsider(namespace, artifact).catch((error: unknown) => {
      house.metrics.faults.inc({ code: toFault(error).code });
    });
  return {
    list: (caller, page) => listArtifacts(inventory, caller, page),
    show: (caller, artifact) => showArtifact(inventory, caller, artifact),
    approve: async (caller, artifact, approval) => {
      const appended = await approveArtifact({ dossiers, clock, write }, caller, artifact, approval);
      await settle(caller.namespace, artifact);
      return appended;
    },
    deny: async (caller, artifact, reason) => {
      const appended = await denyArtifact({ dossiers, clock, write }, caller, artifact, reason);
      await settle(caller.namespace, artifact);
      return appended;
    },
    ask: async (question) => (await decisions.ask(question)).decision,
    explain,
    promote: (caller, artifact, environment) => promoteFor(house, caller, { artifact, environment }),
    head: async () => {
      const { size, rootHash, checkpoint } = await log.ledger.head();
      return {
        size,
        rootHash,
        checkpoint,
        origin: trust.trust.root.origin,
        verifierKey: encodeVerifierKey(log.sequencer.log.noteKey),
        trustFingerprint: trust.fingerprint,
        selfAsserted: true,
      };
    },
    exportBundle: (question) => exportDecision(house, question),
    doctor: () => examine(house),
    access: openAccessDesk(house),
    adoptions: openAdoptionDesk({
      blobs: stores.blobs,
      catalog,
      clock,
      write,
      find: (query) => log.ledger.find(query),
      newest: house.newestEntries,
    }),
    intakes: openIntakesDesk(house),
    queue: openQueueDesk(house),
    sandbox: openSandboxDesk(house),
    upstreams: openUpstreamDesk(house),
    triage: openTriageDesk(house.configuration),
  };
}

async function promoteFor(
  house: House,
  caller: Caller,
  asked: { readonly artifact: Digest; readonly environment: Caller['environment'] },
) {
  const { arrivals, catalog, decisions, stores, writer } = house;
  return gates.promote.open(
    {
      complete: async (namespace, artifact) => {
        const [snapshot] = await catalog.findArtifact(namespace, artifact);
        if (snapshot === undefined)
          throw new Fault('resource.unknown', `there is no artifact \`${artifact}\` in \`${namespace}\``);
        await arrivals.complete(snapshot, new AbortController().signal);
        return {
          artifact,
          name: snapshot.repository.id.split('/').at(-1) ?? snapshot.repository.id,
          files: snapshot.files,
        };
      },
      ask: async (question) => (await decisions.ask(question)).decision,
      sign: async (namespace, artifact) => {
        const statement = makeModelSignatureStatement(artifact.name, artifact.files);
        const [logged] = await writer.write(namespace, [statement], stores.keys.release);
        if (logged === undefined) throw new Fault('ledger.unavailable', 'the signature was not sequenced');
        return new TextDecoder().decode(encodeBundle(logged.envelope, stores.keys.release.keyId));
      },
    },
    {
      namespace: caller.namespace,
      artifact: asked.artifact,
      environment: asked.environment,
      principal: caller.class,
    },
  );
}
