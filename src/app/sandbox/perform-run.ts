import type { Catalog, Snapshot } from '#artifact/catalog.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Statement } from '#evidence/statement.ts';
import { Fault } from '#lib/fault.ts';
import type { Producer, ProducerInput } from '#producers/producer.ts';

export interface PerformRunPorts {
  readonly catalog: Pick<Catalog, 'findArtifact'>;
  /** Undefined where the sandbox is switched off. */
  readonly producer: Producer | undefined;
  readonly arrivals: {
    complete(snapshot: Snapshot, signal: AbortSignal): Promise<void>;
    input(snapshot: Snapshot, signal: AbortSignal): Promise<ProducerInput>;
  };
  readonly write: (namespace: string, statements: readonly Statement[]) => Promise<void>;
  readonly reconsider: (namespace: string, artifact: Digest) => Promise<void>;
}

/**
 * Brings every file of the artifact, runs it in the sandbox, appends what was seen and takes its decisions again. Faults
 * `resource.unknown`, `sandbox.unavailable`, and those of the arrival.
 */
export async function performRun(
  ports: PerformRunPorts,
  run: { readonly namespace: string; readonly artifact: Digest; readonly signal: AbortSignal },
): Promise<void> {
  const { namespace, artifact, signal } = run;
  if (ports.producer === undefined) throw switchedOff();
  const [snapshot] = await ports.catalog.findArtifact(namespace, artifact);
  if (snapshot === undefined)
    throw new Fault('resource.unknown', `there is no artifact \`${artifact}\` in \`${namespace}\``);
  await ports.arrivals.complete(snapshot, signal);
  const statements = await ports.producer.produce(await ports.arrivals.input(snapshot, signal));
  await ports.write(namespace, statements);
  await ports.reconsider(namespace, artifact);
}

export function switchedOff(): Fault {
  return new Fault('sandbox.unavailable', 'the sandbox is switched off on this server', {
    hint: 'the operator can set `sandbox` to `on-request`',
  });
}
