import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** Everything that `/metrics` shows. Label values come from closed sets (codes, verdicts), never from requests. */
export interface Metrics {
  readonly registry: Registry;
  readonly requests: Counter<'listener' | 'status'>;
  readonly pulls: Counter<'outcome'>;
  readonly sentBytes: Counter;
  readonly decisions: Counter<'verdict' | 'action'>;
  readonly faults: Counter<'code'>;
  readonly incidents: Counter<'kind'>;
  readonly intakes: Histogram;
  readonly logSize: Gauge;
  readonly policyFaults: Gauge;
  readonly deliveryFaults: Gauge;
  readonly clockBehind: Gauge;
}

export function makeMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  return {
    registry,
    requests: new Counter({
      name: 'weighbridge_http_requests_total',
      help: 'requests answered',
      labelNames: ['listener', 'status'],
      registers,
    }),
    pulls: new Counter({
      name: 'weighbridge_pulls_total',
      help: 'answers of the pull gate about files',
      labelNames: ['outcome'],
      registers,
    }),
    sentBytes: new Counter({
      name: 'weighbridge_pull_sent_bytes_total',
      help: 'bytes of file bodies sent',
      registers,
    }),
    decisions: new Counter({
      name: 'weighbridge_decisions_total',
      help: 'decisions taken, not counting answers from cache',
      labelNames: ['verdict', 'action'],
      registers,
    }),
    faults: new Counter({
      name: 'weighbridge_faults_total',
      help: 'failures by code of docs/reference/faults.md',
      labelNames: ['code'],
      registers,
    }),
    incidents: new Counter({
      name: 'weighbridge_upstream_incidents_total',
      help: 'what the upstream did wrong, by kind of docs/reference/predicates.md; also what is not recorded again',
      labelNames: ['kind'],
      registers,
    }),
    intakes: new Histogram({
      name: 'weighbridge_intake_seconds',
      help: 'time from first request to settled evidence',
      buckets: [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600],
      registers,
    }),
    logSize: new Gauge({
      name: 'weighbridge_log_entries',
      help: 'entries under the newest checkpoint',
      registers,
    }),
    policyFaults: new Gauge({
      name: 'weighbridge_policy_faults',
      help: 'policy files that do not compile and therefore deny',
      registers,
    }),
    deliveryFaults: new Gauge({
      name: 'weighbridge_delivery_faults',
      help: '1 while the delivery rules cannot be read and everything is held',
      registers,
    }),
    clockBehind: new Gauge({
      name: 'weighbridge_clock_behind_seconds',
      help: 'how far the system clock is behind the last checkpoint; above 0 it decides with the time of the checkpoint',
      registers,
    }),
  };
}
