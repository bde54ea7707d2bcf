import type { Command } from './command.ts';
import { adopt } from './adopt.ts';
import { namespace, token } from './access.ts';
import { decide, explain } from './decide.ts';
import { digest } from './digest.ts';
import { doctor } from './doctor.ts';
import { approve, deny } from './human.ts';
import { intake } from './intake.ts';
import { log } from './log.ts';
import { promote } from './promote.ts';
import { reindex } from './reindex.ts';
import { sandbox } from './sandbox.ts';
import { scan } from './scan.ts';
import { serve } from './serve.ts';

/** The command line, in the order of the help text. */
export const commands: readonly Command[] = [
  serve,
  scan,
  intake,
  adopt,
  sandbox,
  digest,
  decide,
  explain,
  approve,
  deny,
  promote,
  namespace,
  token,
  log,
  doctor,
  reindex,
];
