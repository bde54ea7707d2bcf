import type { Command } from './command.ts';
import { serve } from './serve.ts';

/** The command line, in the order of the help text. */
export const commands: readonly Command[] = [serve];
