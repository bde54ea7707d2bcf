import { serveTasks } from '#lib/worker-task.ts';

/** A worker whose reader is planted: what it does is the text of its source. Test only. */
serveTasks(async (_task, sources) => {
  const source = sources[0];
  const order = source === undefined ? '' : Buffer.from(await source.read(0, 100)).toString();
  const hoard: unknown[] = [];
  switch (order) {
    case 'hang':
      for (;;) hoard.length = 0;
    case 'wait':
      return new Promise(() => undefined);
    case 'heap':
      for (;;) hoard.push(Array.from({ length: 1000 }, () => hoard.length));
    case 'buffers':
      for (;;) {
        hoard.push(Buffer.alloc(16 * 1024 * 1024, 1));
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    case 'throw':
      throw new Error('the planted reader failed');
    case 'exit':
      process.exit(3);
    // oxlint-disable-next-line no-fallthrough
    case 'environment':
      return {
        formats: Object.keys(process.env),
        findings: [],
        incompleteReasons: [],
        verdict: 'clean',
        completeness: 'complete',
      };
    default:
      return {
        formats: ['text'],
        findings: [],
        incompleteReasons: [],
        verdict: 'clean',
        completeness: 'complete',
      };
  }
});
