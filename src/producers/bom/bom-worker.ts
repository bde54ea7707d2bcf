import type { ByteSource } from '#artifact/blob-store.ts';
import { serveTasks } from '#lib/worker-task.ts';
import { readFileFacts, type FactsRole } from './file-facts.ts';

// The producer that starts this worker sends nothing else.
serveTasks((task, sources) => {
  const { role } = task as { readonly role: FactsRole };
  const source: ByteSource | undefined = sources[0];
  if (source === undefined) throw new Error('a task has one source');
  return readFileFacts(role, source);
});
