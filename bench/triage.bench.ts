import { hubReference } from '#app/triage/hub-reference.ts';
import { triageRepository } from '#app/triage/triage-repository.ts';
import { openLoopbackHub } from '../test/support/hub/hub.ts';
import { sparseSafetensors } from '../test/support/sparse-files.ts';
import { benchmark, runAsProgram, type Bench } from './support.ts';

const MB = 1_000_000;
const shards = 20;

/** What an answer about 100 GB costs: the bytes that come over the network, against the repository itself. */
export const benches: readonly Bench[] = [
  {
    name: 'triage of 100 GB of safetensors: bytes fetched',
    async run() {
      await using hub = await openLoopbackHub();
      const files = Array.from({ length: shards }, (_, index) => [
        `model-${index}.safetensors`,
        sparseSafetensors(200, 25 * MB),
      ]);
      await hub.commit('bench/large', { 'config.json': '{}', ...Object.fromEntries(files) });
      const look = () =>
        triageRepository(
          { upstream: hub.url, 'upstream-token': undefined },
          hubReference('models', 'bench/large', 'HEAD'),
          { signal: new AbortController().signal },
        );
      return await benchmark('triage of 100 GB of safetensors: bytes fetched', {
        ours: async () => (await look()).bytesFetched / MB,
        peer: async () => (await look()).bytesTotal / MB,
        peerName: 'the repository',
        unit: 'MB',
        goal: { atMost: 0.001 },
        rounds: 2,
      });
    },
  },
];

await runAsProgram(import.meta, benches);
