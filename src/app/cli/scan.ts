import { Fault } from '#lib/fault.ts';
import { readConfiguration } from '../config.ts';
import { isHubReference, parseHubReference } from '../triage/hub-reference.ts';
import { outputFormat, outputOption, print } from './command.ts';
import type { Command, CommandContext, CommandInput, ExitCode } from './command.ts';
import { configOptions } from './config-options.ts';
import { showProgress } from './triage-progress.ts';

const hubOptions = new Set(['upstream', 'config']);

/** `weighbridge scan`: the static scanner over local files, or a triage of a hub repository; needs no server. */
export const scan: Command = {
  name: 'scan',
  summary:
    'scan local files and directories, or a hub repository before it is downloaded, without running anything in them',
  usage: 'PATH… | hf://[models/|datasets/]ORG/NAME[@REVISION]',
  options: [outputOption, ...configOptions.filter(({ name }) => hubOptions.has(name))],
  run: async (input, context) => {
    const format = outputFormat(input);
    const [first, ...more] = input.positionals;
    if (first === undefined)
      throw new Fault('command.usage', 'nothing to scan', {
        hint: 'name files, directories or `hf://org/name`',
      });
    const remote = input.positionals.find(isHubReference);
    if (remote !== undefined) {
      if (more.length > 0)
        throw new Fault('command.usage', `\`${remote}\` is triaged alone`, { hint: 'one command for each' });
      return scanHub(remote, input, context);
    }
    const stray = [...hubOptions].find((name) => input.flags.has(name));
    if (stray !== undefined)
      throw new Fault('command.usage', `\`--${stray}\` has a meaning for \`hf://…\` only`);
    // Loaded here: no other command needs the readers of model formats.
    const { openScanner } = await import('#producers/scan/scanner.ts');
    const { exitOfScan, renderScan, scanTree } = await import('#producers/scan/scan-tree.ts');
    await using scanner = openScanner();
    const report = await scanTree(scanner, input.positionals).catch((error: unknown) => {
      throw withHubHint(error, input.positionals);
    });
    await print(context.stdout, format === 'json' ? `${JSON.stringify(report)}\n` : renderScan(report));
    return exitOfScan(report);
  },
};

async function scanHub(text: string, input: CommandInput, context: CommandContext): Promise<ExitCode> {
  const reference = parseHubReference(text);
  const { environment, directory } = context;
  const configuration = readConfiguration({ flags: input.flags, environment, directory });
  const { triageRepository } = await import('../triage/triage-repository.ts');
  const { exitOfTriage, renderTriage } = await import('#producers/scan/triage-report.ts');
  const progress = showProgress(context.stderr);
  const report = await triageRepository(configuration, reference, {
    signal: new AbortController().signal,
    progress: progress.show,
  })
    .catch((error: unknown) => {
      throw withUpstream(error, configuration.upstream);
    })
    .finally(progress.clear);
  const json = outputFormat(input) === 'json';
  await print(context.stdout, json ? `${JSON.stringify(report)}\n` : renderTriage(report));
  return exitOfTriage(report);
}

const hubName = /^(?:hf:)?([\w.-]+\/[\w.-]+)$/;

/** `org/name` is a path here; whoever meant the repository is told how to say so. */
function withHubHint(error: unknown, paths: readonly string[]): unknown {
  if (!(error instanceof Fault) || error.code !== 'file.unreadable' || error.hint !== undefined) return error;
  const name = paths.length === 1 ? hubName.exec(paths[0] ?? '')?.[1] : undefined;
  const hint = name === undefined ? 'check the path' : `a repository of the hub is \`hf://${name}\``;
  return new Fault(error.code, error.message, { hint, cause: error });
}

/** Whoever types the command may know which upstream it is; clients of a server are not told. */
function withUpstream(error: unknown, upstream: URL): unknown {
  if (!(error instanceof Fault) || error.code !== 'upstream.unavailable' || error.hint !== undefined)
    return error;
  return new Fault(error.code, error.message, {
    hint: `upstream is \`${upstream.origin}\`; \`--upstream\` names another one`,
    details: error.details,
    cause: error,
  });
}
