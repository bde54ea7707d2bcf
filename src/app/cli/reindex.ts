import { makeLogIdentity } from '#evidence/log/checkpoint.ts';
import { reindex as reindexLog } from '#evidence/log/reindex.ts';
import { openLogDirectory } from '#adapters/filesystem/log-files.ts';
import { readConfiguration } from '../config.ts';
import { openTableRebuild } from '../rebuild.ts';
import { refuseSecondServer } from '../running.ts';
import { openStores } from '../stores.ts';
import { outputFormat, outputOption, print } from './command.ts';
import type { Command } from './command.ts';
import { configOptions } from './config-options.ts';

/** `weighbridge reindex`: makes an empty database again from the published log and the blobs. */
export const reindex: Command = {
  name: 'reindex',
  summary: 'rebuild an empty database from the log and the blobs; the server must not run',
  usage: '',
  options: [...configOptions, outputOption],
  run: async (input, context) => {
    const format = outputFormat(input);
    const flags = new Map([...input.flags].filter(([name]) => name !== 'output'));
    const configuration = readConfiguration({
      flags,
      environment: context.environment,
      directory: context.directory,
    });
    await refuseSecondServer(configuration.data);
    const stores = await openStores(configuration);
    try {
      const progress = (text: string): void => {
        if (context.stderr.isTTY === true) context.stderr.write(`\r${text}\x1b[K`);
      };
      const log = makeLogIdentity(configuration.origin, stores.keys.log.publicKeyPem);
      const published = { files: openLogDirectory(stores.logDirectory), blobs: stores.blobs, log };
      const tables = openTableRebuild(stores);
      const head = await reindexLog(published, stores.sequence, {
        derive: tables.add,
        progress: (entries, size) => progress(`log entries ${entries} of ${size}`),
      });
      const rebuilt = tables.counts();
      progress('');
      const answer = { ...rebuilt, rootHash: head.rootHash };
      const text = `rebuilt ${rebuilt.entries} entries, ${rebuilt.snapshots} snapshots, ${rebuilt.decisions} decisions; root hash ${head.rootHash}\n`;
      await print(context.stdout, format === 'json' ? `${JSON.stringify(answer)}\n` : text);
      return 0;
    } finally {
      await stores.close();
    }
  },
};
