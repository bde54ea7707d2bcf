import { toFault } from './fault.ts';
import type { Fault } from './fault.ts';

export interface RegularLook {
  readonly look: () => Promise<void>;
  readonly everyMs: number;
  /** A look failed. The same words are told once until a look succeeds. */
  readonly failed: (fault: Fault) => void;
}

/** Looks again and again, never twice at the same time. `close` resolves when the last look has ended. */
export function lookRegularly({ look, everyMs, failed }: RegularLook): { close(): Promise<void> } {
  let turn: Promise<void> | undefined;
  let told: string | undefined;
  const report = (error: unknown): void => {
    const fault = toFault(error);
    if (fault.message !== told) failed(fault);
    told = fault.message;
  };
  const timer = setInterval(() => {
    turn ??= look()
      .then(() => (told = undefined), report)
      .finally(() => (turn = undefined));
  }, everyMs);
  return {
    close: async () => {
      clearInterval(timer);
      await turn;
    },
  };
}
