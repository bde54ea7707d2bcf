import { openMemorySequenceStore } from '../support/memory-sequence-store.ts';
import { sequenceStoreContract } from './sequence-store.contract.ts';

sequenceStoreContract('in memory', async () => {
  const store = openMemorySequenceStore();
  return { store, other: store, namespaces: ['default', 'team-a'], close: async () => {} };
});
