/** How one kind of failure is answered everywhere. */
export interface FaultRow {
  /** HTTP status of the answer. */
  readonly status: number;
  /** Exit code of the command line: 2 = refused or found, 1 = could not run or inconclusive. */
  readonly exit: 1 | 2;
  /** May the same call succeed later without a change by the caller? */
  readonly retryable: boolean;
  /** The process must stop: going on could write history that contradicts what is stored. */
  readonly fatal?: true;
}

const bad = (status: number): FaultRow => ({ status, exit: 1, retryable: false });
const later = (status: number): FaultRow => ({ status, exit: 1, retryable: true });
const fatal: FaultRow = { status: 500, exit: 1, retryable: false, fatal: true };

/**
 * The one table of failures (DESIGN §5 "Errors"). The key is the code: it is the metric label, the documentation
 * anchor (`docs/reference/faults.md#<code>`) and part of the public interface. Keep it sorted.
 */
export const faults = {
  'artifact.empty': bad(422),
  'artifact.too-large': bad(413),
  'blob.corrupt': { status: 500, exit: 2, retryable: false },
  'blob.mismatch': { status: 422, exit: 2, retryable: false },
  'blob.missing': bad(404),
  'bundle.invalid': { status: 422, exit: 2, retryable: false },
  'command.unknown': bad(400),
  'command.usage': bad(400),
  'config.invalid': bad(500),
  'database.schema': bad(500),
  'database.unavailable': later(503),
  'digest.invalid': bad(400),
  'directory.in-use': bad(500),
  'disk.full': later(507),
  'envelope.invalid': bad(422),
  'file.changed': later(409),
  'file.link': bad(422),
  'file.special': bad(422),
  'file.unreadable': bad(500),
  'internal.unexpected': bad(500),
  'json.invalid': bad(400),
  'key.invalid': bad(500),
  'key.missing': bad(500),
  'ledger.diverged': fatal,
  'ledger.unavailable': later(503),
  'limit.exceeded': bad(413),
  'manifest.invalid': bad(422),
  'name.taken': bad(409),
  'note.invalid': bad(422),
  'path.collision': bad(422),
  'path.invalid': bad(400),
  'platform.unsupported': bad(500),
  'policy.invalid': bad(422),
  'proof.invalid': { status: 422, exit: 2, retryable: false },
  'request.forbidden': { status: 403, exit: 2, retryable: false },
  'request.invalid': bad(400),
  'request.unauthenticated': bad(401),
  'resource.unknown': bad(404),
  'sandbox.unavailable': bad(501),
  'server.busy': later(503),
  'server.draining': later(503),
  'server.unreachable': later(503),
  'source.absent': bad(404),
  'source.forbidden': { status: 403, exit: 2, retryable: false },
  'statement.invalid': bad(422),
  'trust.invalid': bad(422),
  'upstream.lied': { status: 502, exit: 2, retryable: false },
  'upstream.unavailable': later(502),
  'worker.failed': bad(500),
} as const satisfies Record<string, FaultRow>;

export type FaultCode = keyof typeof faults;

export interface FaultOptions {
  /** What the reader can do about it; one sentence, lower case, no full stop. */
  readonly hint?: string;
  /** Structured values for logs and JSON answers. Never secrets. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/**
 * Bad input or a failed operation. Expected outcomes (findings, verdicts, refusals) are values, never Faults.
 * The message is lower case without full stop, user data in backticks.
 */
export class Fault extends Error {
  readonly code: FaultCode;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: FaultCode, message: string, options: FaultOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Fault';
    this.code = code;
    this.hint = options.hint;
    this.details = options.details ?? {};
  }

  get row(): FaultRow {
    return faults[this.code];
  }

  toJSON(): {
    code: FaultCode;
    message: string;
    hint?: string;
    details: Readonly<Record<string, unknown>>;
    documentation: string;
  } {
    return {
      code: this.code,
      message: this.message,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      details: this.details,
      documentation: `docs/reference/faults.md#${this.code}`,
    };
  }
}

/** Any thrown value as a Fault; what is not one already becomes `internal.unexpected` with the value as cause. */
export function toFault(thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown;
  if (isErrno(thrown) && (thrown.code === 'ENOSPC' || thrown.code === 'EDQUOT')) {
    return new Fault('disk.full', 'the disk is full', {
      hint: 'free space in the data directory',
      cause: thrown,
    });
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new Fault('internal.unexpected', `unexpected failure: ${message}`, { cause: thrown });
}

/** Is this an operating-system error with a code such as `ENOENT`? */
export function isErrno(thrown: unknown): thrown is NodeJS.ErrnoException {
  return thrown instanceof Error && typeof (thrown as NodeJS.ErrnoException).code === 'string';
}
