import { Fault } from '#lib/fault.ts';
import { outputFormat, outputOption, print } from './command.ts';
import type { Command } from './command.ts';

/** `weighbridge scan`: the static scanner over local files; needs no server. */
export const scan: Command = {
  name: 'scan',
  summary: 'scan local files and directories without running anything in them',
  usage: 'PATH…',
  options: [outputOption],
  run: async (input, context) => {
    const format = outputFormat(input);
    if (input.positionals.length === 0)
      throw new Fault('command.usage', 'nothing to scan', { hint: 'name files or directories' });
    // Loaded here: no other command needs the readers of model formats.
    const { openScanner } = await import('#producers/scan/scanner.ts');
    const { exitOfScan, renderScan, scanTree } = await import('#producers/scan/scan-tree.ts');
    await using scanner = openScanner();
    const report = await scanTree(scanner, input.positionals);
    await print(context.stdout, format === 'json' ? `${JSON.stringify(report)}\n` : renderScan(report));
    return exitOfScan(report);
  },
};
