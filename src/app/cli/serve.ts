import { readConfiguration } from '../config.ts';
import { exitWithParent } from '../parent.ts';
import type { RunningServer } from '../start.ts';
import { print } from './command.ts';
import type { Command, CommandContext } from './command.ts';
import { configOptions } from './config-options.ts';

/** `weighbridge serve`: the server, until it is told to stop. */
export const serve: Command = {
  name: 'serve',
  summary: 'start the server',
  usage: '',
  options: [
    {
      name: 'demo',
      value: 'once',
      optional: true,
      summary: 'a guided tour with a hub and files of its own; `once` ends with it',
    },
    ...configOptions,
  ],
  run: async (input, context) => {
    exitWithParent();
    if (input.flags.has('demo')) {
      // Loaded here, as the server below.
      const { serveDemo } = await import('./serve-demo.ts');
      return serveDemo(input, context, stopController());
    }
    const configuration = readConfiguration({
      flags: input.flags,
      environment: context.environment,
      directory: context.directory,
    });
    const stop = stopController().signal;
    // Loaded here: the server's libraries would cost every other command a second.
    const { startServer } = await import('../start.ts');
    const server = await startServer(configuration, { terminal: context.stderr.isTTY === true, stop });
    await print(context.stdout, bannerOf(server, context, configuration['admin-token'] !== undefined));
    const failure = await server.ended;
    if (failure !== undefined) throw failure;
    return 0;
  },
};

/** npm passes on the Ctrl-C that the terminal has sent to everybody: what comes this soon after the first is the same. */
const sameSignalMs = 200;

/** The first signal drains, the second ends at once. */
function stopController(): AbortController {
  const stop = new AbortController();
  let firstMs = 0;
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (!stop.signal.aborted) {
        firstMs = performance.now();
        stop.abort();
      } else if (performance.now() - firstMs > sameSignalMs) {
        process.exit(1);
      }
    });
  }
  return stop;
}

function bannerOf(server: RunningServer, context: CommandContext, configured: boolean): string {
  const bold =
    context.stdout.isTTY === true ? (text: string) => `\x1b[1m${text}\x1b[0m` : (text: string) => text;
  const token =
    server.madeToken === undefined
      ? configured
        ? '(the configured one)'
        : '(printed at the first start)'
      : `${server.madeToken.reveal()}   (shown once, keep it)`;
  const lines = [
    `${bold('Weighbridge')} ${server.version} is serving.`,
    '',
    `  console              ${server.consoleUrl}`,
    `  administrator token  ${token}`,
    `  trust root           ${server.trustFingerprint}${server.madeTrust ? '   (made now; write it down)' : ''}`,
    `  policies             ${server.policies}`,
    '',
    'Point your clients here:',
    '',
    `  export HF_ENDPOINT=${server.clientsUrl}`,
    '',
  ];
  return `${lines.join('\n')}\n`;
}
