import fastify from 'fastify';
import { Fault } from '#lib/fault.ts';
import type { Logger } from './server.ts';

/**
 * JSON lines on standard error. Faults are written with code and details; request headers, and with them every
 * credential, never are.
 */
export function makeLogger(level: string): Logger {
  const app = fastify({
    logger: {
      level,
      base: null,
      stream: process.stderr,
      serializers: {
        fault: (fault: unknown) => (fault instanceof Fault ? fault.toJSON() : fault),
        cause: (cause: unknown) =>
          cause instanceof Error ? (cause.stack ?? cause.message).slice(0, 4000) : undefined,
        req: ({ method }) => ({ method }),
      },
    },
  });
  return app.log;
}
