import type { BlobStore } from '#artifact/blob-store.ts';
import type { PartialStore } from '#artifact/partial-store.ts';
import type { Clock } from '#lib/clock.ts';
import type { Decision } from '#policy/decision.ts';
import type { FrontProxy } from './hand-over.ts';
import type { Decisions, Intake, Principals, PullJournal } from './ports.ts';

export interface PullSettings {
  /** Absolute URL of the clients' listener for `Link` headers; undefined = take the request's `Host`. */
  readonly publicUrl: string | undefined;
  /** How long HEAD and GET wait for a verdict before 503. Below 10 s, the time-out of huggingface_hub. */
  readonly holdMs: number;
  /** How long a caller waits that can wait: heartbeat clients, and the JavaScript probe up to 290 s. */
  readonly longHoldMs: number;
  /** Interval of `100 Continue` while holding; 3 s covers every known client. */
  readonly heartbeatMs: number;
  /** `never` where a proxy in front does not pass interim answers on; `direct` looks at Via and X-Forwarded-For. */
  readonly heartbeat: 'direct' | 'never';
  /** One byte leaves in this interval while a tail is withheld; below 5 s, the time-out of httpx. */
  readonly trickleMs: number;
  /** How long a refused connection stays open in silence before it is reset; above 10 s, the time-out of huggingface_hub. */
  readonly lingerMs: number;
  /** The proxy that sends the blobs for us; undefined = we send them. */
  readonly front: FrontProxy | undefined;
  /** Where people read why: a link for the refusal's message. */
  explainUrl(decision: Decision): string | undefined;
}

export const defaultPullSettings: PullSettings = {
  publicUrl: undefined,
  holdMs: 8_000,
  longHoldMs: 900_000,
  heartbeatMs: 3_000,
  heartbeat: 'direct',
  trickleMs: 3_000,
  lingerMs: 15_000,
  front: undefined,
  explainUrl: () => undefined,
};

/** Everything the gate asks of the house. `blobs` is read only under digests that `intake` gave. */
export interface PullPorts {
  readonly intake: Intake;
  readonly decisions: Decisions;
  readonly principals: Principals;
  readonly blobs: Pick<BlobStore, 'open'>;
  readonly partials: Pick<PartialStore, 'mark' | 'isMixed'>;
  readonly journal: PullJournal;
  readonly clock: Clock;
  readonly settings: PullSettings;
}
