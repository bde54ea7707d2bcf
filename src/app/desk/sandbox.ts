import type { Digest } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import { collectFacts } from '#policy/facts.ts';
import type { SandboxDesk, SandboxView } from '../routes/sandbox.ts';
import { switchedOff } from '../sandbox/perform-run.ts';
import type { House } from '../wire.ts';

/** Runs in the sandbox as people see them: the state of the newest order, and what decisions read from the ledger. */
export function openSandboxDesk(house: House): SandboxDesk {
  const show = async (namespace: string, artifact: Digest): Promise<SandboxView> => {
    const dossier = await house.dossiers.open(namespace, artifact);
    if (dossier === undefined)
      throw new Fault('resource.unknown', `there is no artifact \`${artifact}\` in \`${namespace}\``);
    // The state first: evidence is appended before a run is done, so that `done` is never shown without it.
    const state = await house.sandboxRuns.state(namespace, artifact);
    const { subject, evidence } = (await house.dossiers.open(namespace, artifact)) ?? dossier;
    const question = {
      principal: 'administrator',
      action: 'load',
      artifact,
      files: null,
      namespace,
      environment: house.configuration.environment,
    } as const;
    const { sandbox } = collectFacts(question, subject, evidence);
    if (sandbox === undefined) return { ...state, finding: null };
    const { outcome, acts, reasons, exercisedAt } = sandbox.reading;
    const { evidence: envelope, logIndex } = sandbox;
    return {
      ...state,
      finding: { outcome, acts, reasons, exercisedAt, evidence: envelope, logIndex },
    };
  };
  return {
    show: (caller, artifact) => show(caller.namespace, artifact),
    order: async (caller, artifact) => {
      if (house.producers.sandbox === undefined) throw switchedOff();
      await show(caller.namespace, artifact);
      await house.sandboxRuns.order(caller.namespace, artifact);
      return show(caller.namespace, artifact);
    },
  };
}
