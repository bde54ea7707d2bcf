import type { LoggedEvidence } from '#evidence/statement.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import { formatInstant } from '#lib/clock.ts';
import type { HostHealth } from '#lib/courtesy.ts';
import { readIncident } from '../intake/incidents.ts';
import type { UpstreamDesk, UpstreamsView } from '../routes/upstreams.ts';
import type { House } from '../wire.ts';

const dayMs = 24 * 3_600_000;
/** Incidents of one look: an hour of the worst upstream, and then some. */
const read = 500;
const shown = 20;

type Incident = UpstreamsView['incidents'][number];

/** What the scheduler knows about its hosts, and what the ledger has about them. */
export function openUpstreamDesk(
  house: Pick<House, 'upstream' | 'clock' | 'configuration' | 'newestEntries'>,
): UpstreamDesk {
  return {
    view: async (namespace) => {
      const logged = await house.newestEntries(namespace, {
        predicateType: predicateTypes.upstreamIncident,
        limit: read,
      });
      const incidents = logged.map(incidentOf).filter((incident) => incident !== undefined);
      const sinceMs = house.clock.now() - dayMs;
      const young = incidents.filter(({ at }) => Date.parse(at) >= sinceMs);
      const { host: configured } = house.configuration.upstream;
      const known = house.upstream.health();
      const hosts = known.some(({ host }) => host === configured) ? known : [unasked(configured), ...known];
      return {
        upstreams: hosts.map((health) => ({
          kind: 'hub',
          role: health.host === configured ? 'upstream' : 'redirect',
          ...healthOf(health),
          incidents24h: young.filter(({ upstream }) => upstream === health.host).length,
        })),
        incidents: incidents.slice(0, shown),
      };
    },
  };
}

function healthOf({ host, state, requests, failures, active, waiting, ...rest }: HostHealth) {
  const { lastSuccessMs, lastFailure, rateLimit } = rest;
  return {
    host,
    state,
    requests,
    failures,
    active,
    waiting,
    lastSuccessAt: instant(lastSuccessMs),
    lastFailure:
      lastFailure === undefined ? null : { at: formatInstant(lastFailure.atMs), message: lastFailure.words },
    rateLimit:
      rateLimit === undefined
        ? null
        : { remaining: rateLimit.remaining, resetsAt: instant(rateLimit.resetsAtMs) },
  };
}

function instant(epochMs: number | undefined): string | null {
  return epochMs === undefined ? null : formatInstant(epochMs);
}

/** The configured upstream before its first request. */
function unasked(host: string): HostHealth {
  return {
    host,
    state: 'well',
    breaker: 'closed',
    requests: 0,
    failures: 0,
    lastSuccessMs: undefined,
    lastFailure: undefined,
    active: 0,
    waiting: 0,
    rateLimit: undefined,
  };
}

function incidentOf({ statement, logIndex }: LoggedEvidence): Incident | undefined {
  const incident = readIncident(statement);
  if (incident === undefined) return undefined;
  const { at, kind, path, message, source } = incident;
  return { at, kind, path, message, source: source.uri, upstream: source.upstream, logIndex };
}
