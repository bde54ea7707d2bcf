import { readConfiguration } from '../config.ts';
import { refuseSecondServer } from '../running.ts';
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
    // Loaded here: the database's libraries would cost every other command time.
    const { reindexStores } = await import('../reindex.ts');
    const progress = (text: string): void => {
      if (context.stderr.isTTY === true) context.stderr.write(`\r${text}\x1b[K`);
    };
    const answer = await reindexStores(configuration, progress);
    progress('');
    const text = `rebuilt ${answer.entries} entries, ${answer.snapshots} snapshots, ${answer.decisions} decisions; root hash ${answer.rootHash}\n`;
    await print(context.stdout, format === 'json' ? `${JSON.stringify(answer)}\n` : text);
    return 0;
  },
};
