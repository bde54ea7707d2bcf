import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { digestOf } from '#artifact/digest.ts';
import type {
  ProducerIdentity,
  SandboxDeed,
  SandboxOutcome,
  SandboxPredicate,
} from '#evidence/predicates.ts';
import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { printable } from '#lib/printable.ts';
import { judgeEvent } from './judge-events.ts';
import { parseLoaderAnswer, type LoaderAnswer } from './loader-answer.ts';
import { planLoads, type LoadPlan, type PlannedFile } from './plan.ts';
import { sandboxPlaces } from './runner-port.ts';
import type { SandboxEnd, SandboxEvent, SandboxFile, SandboxLimits, SandboxRunner } from './runner-port.ts';

const loader = fileURLToPath(new URL('./loader.py', import.meta.url));

/** The loader decides what is loaded and how it is called, so that its bytes are the rule set. */
export const sandboxIdentity: ProducerIdentity = {
  name: 'weighbridge-sandbox',
  version: '1',
  ruleSetDigest: digestOf(readFileSync(loader)),
};

export const sandboxLimits: SandboxLimits = {
  wallSeconds: 300,
  cpuSeconds: 300,
  memoryMB: 8192,
  tasks: 512,
  scratchMB: 512,
  traceMB: 64,
};

/** What to run and with what. */
export interface Exercise {
  readonly runner: SandboxRunner;
  readonly python: string;
  readonly limits: SandboxLimits;
  readonly trustRemoteCode: boolean;
  readonly signal: AbortSignal;
}

/** A file of the artifact that lies on this machine. */
export type ExercisedFile = PlannedFile & SandboxFile & { readonly sha256: string };

/** All of the predicate but when it was made. */
export type Exercised = Omit<SandboxPredicate, 'producer' | 'exercisedAt'>;

/**
 * Loads and calls the files in a sandbox and says what happened. Two runs over the same bytes with the same libraries say
 * the same. Faults: `sandbox.unavailable` where the sandbox itself does not come up, `limit.exceeded` above
 * `limits.sandboxFiles`.
 */
export async function exercise(files: readonly ExercisedFile[], how: Exercise): Promise<Exercised> {
  if (files.length > limits.sandboxFiles)
    throw new Fault('limit.exceeded', `${files.length} files are more than a sandbox shows`, {
      hint: `at most ${limits.sandboxFiles}`,
    });
  const python = await how.runner.python(how.python);
  const plan = await planLoads(files);
  const common = {
    runner: how.runner.kind,
    limits: { ...how.limits },
    trustRemoteCode: how.trustRemoteCode,
    python: printable(python.version),
    files: files.map(({ path, sha256 }) => ({ path, sha256 })),
  };
  if (plan.steps.length === 0) {
    const reasons = ['no library that is known here loads any of these files'];
    return {
      ...common,
      libraries: [],
      outcome: 'inconclusive',
      reasons,
      steps: [],
      events: [],
      eventsOmitted: 0,
    };
  }
  const deeds = collectDeeds(python.roots);
  const run = await how.runner.run({
    python: how.python,
    files,
    loader,
    plan: JSON.stringify({ steps: plan.steps, trustRemoteCode: how.trustRemoteCode }),
    limits: how.limits,
    signal: how.signal,
    observe: deeds.observe,
  });
  how.signal.throwIfAborted();
  if (!deeds.reached('load') && run.end.kind === 'exited') throw didNotStart(run.complaint);
  const answer = parseLoaderAnswer(run.output, plan.steps, python.roots);
  return {
    ...common,
    libraries: answer?.libraries ?? [],
    ...conclude({ plan, end: run.end, answer, deeds }),
    steps: answer?.steps ?? [],
    events: deeds.list(),
    eventsOmitted: deeds.omitted(),
  };
}

function didNotStart(complaint: string): Fault {
  const last = complaint.trim().split('\n').at(-1) ?? '';
  return new Fault('sandbox.unavailable', 'the sandbox did not come as far as loading anything', {
    hint: `the loader's last words: \`${printable(last, 300)}\``,
  });
}

interface Deeds {
  readonly observe: (event: SandboxEvent) => boolean;
  readonly reached: (phase: string) => boolean;
  readonly acted: () => boolean;
  readonly unreadable: () => boolean;
  readonly list: () => readonly SandboxDeed[];
  readonly omitted: () => number;
}

/**
 * What happened from the first mark of the phase `load` on. Everything before is imports and the control, which are ours;
 * a later mark says nothing, since code of the artifact could have set it.
 */
function collectDeeds(roots: readonly string[]): Deeds {
  const phases = new Set<string>();
  const deeds = new Map<string, { readonly deed: Omit<SandboxDeed, 'times'>; times: number }>();
  let omitted = 0;
  let acted = false;
  let unreadable = false;
  return {
    observe: (event) => {
      if (event.kind === 'open' && event.path.startsWith(sandboxPlaces.phases))
        phases.add(event.path.slice(sandboxPlaces.phases.length));
      if (!phases.has('load')) return true;
      const deed = judgeEvent(event, roots);
      if (deed === undefined) return true;
      acted ||= deed.grade === 'act';
      unreadable ||= deed.kind === 'unreadable';
      const known = deeds.get(deed.words);
      if (known !== undefined) known.times++;
      else if (deeds.size < limits.sandboxEvents) deeds.set(deed.words, { deed, times: 1 });
      else omitted++;
      return true;
    },
    reached: (phase) => phases.has(phase),
    acted: () => acted,
    unreadable: () => unreadable,
    list: () =>
      [...deeds.values()]
        .map(({ deed, times }) => ({ ...deed, times }))
        .sort((one, other) => rankOf(one) - rankOf(other)),
    omitted: () => omitted,
  };
}

/** What tells most comes first: a process that was started says less than the program that it became. */
function rankOf({ grade, kind }: SandboxDeed): number {
  return grade === 'note' ? 2 : kind === 'forked' ? 1 : 0;
}

/** The worst that can be said. `acted` needs nobody's word but the trace's; `quiet` needs everything to be in order. */
function conclude(seen: {
  readonly plan: LoadPlan;
  readonly end: SandboxEnd;
  readonly answer: LoaderAnswer | undefined;
  readonly deeds: Deeds;
}): { readonly outcome: SandboxOutcome; readonly reasons: readonly string[] } {
  const { plan, answer, deeds } = seen;
  const reasons: string[] = [];
  if (seen.end.kind === 'limit') reasons.push(`it reached the limit of ${seen.end.limit} and was stopped`);
  else if (answer === undefined) reasons.push('the loader ended without its own, single answer');
  else if (seen.end.kind === 'exited' && seen.end.code !== 0)
    reasons.push(`the loader ended with code ${seen.end.code}`);
  if (!deeds.reached('load')) reasons.push('nothing was loaded before that');
  if (deeds.unreadable()) reasons.push('a part of the trace could not be read');
  const steps = answer?.steps ?? [];
  for (const { loader: name, detail } of steps.filter(({ outcome }) => outcome === 'unavailable'))
    reasons.push(`\`${name}\` is not there: ${detail ?? ''}`);
  for (const path of plan.unloaded.slice(0, limits.reasonsPerRule))
    reasons.push(`no library that is known here loads \`${printable(path)}\``);
  const failures = steps
    .filter(({ outcome }) => outcome === 'failed')
    .map(({ path, loader: name, detail }) => {
      const what = path === '' ? 'the artifact' : `\`${printable(path)}\``;
      return `\`${name}\` does not load ${what}: ${detail ?? ''}`;
    });
  const all = [...new Set([...failures, ...reasons])];
  if (deeds.acted()) return { outcome: 'acted', reasons: all };
  if (reasons.length > 0) return { outcome: 'inconclusive', reasons: all };
  return { outcome: failures.length > 0 ? 'failed' : 'quiet', reasons: all };
}
