import { randomInt } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Fault } from '#lib/fault.ts';
import { parseJson } from '#lib/json.ts';
import { environmentName, readConfiguration } from '../config.ts';
import type { Configuration } from '../config.ts';
import { openDemoHub } from '../demo/hub.ts';
import { openNarration } from '../demo/narration.ts';
import { walk } from '../demo/tour.ts';
import { startServer } from '../start.ts';
import type { RunningServer } from '../start.ts';
import { blobDirectory } from '../stores.ts';
import { print } from './command.ts';
import type { CommandContext, CommandInput, ExitCode } from './command.ts';
import { callServer } from './connection.ts';

/**
 * `weighbridge serve --demo`: the real server on a data directory of its own (removed at the end, unless `--data` names
 * one) in front of a hub on loopback, and a tour through both. On a terminal the server stays until it is told to stop;
 * in a pipe, or with `--demo=once`, it ends with the tour. 0 where every step went as expected, else 2.
 */
export async function serveDemo(
  input: CommandInput,
  context: CommandContext,
  stop: AbortController,
): Promise<ExitCode> {
  const stays = context.stdout.isTTY === true && input.flags.get('demo') !== 'once';
  const hub = await openDemoHub();
  const folder = await mkdtemp(join(tmpdir(), 'weighbridge-demo-'));
  // A second signal ends the process at once; the folder goes all the same.
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  let server: RunningServer | undefined;
  try {
    const configuration = configure(input, context, { upstream: hub.url, folder });
    const begun = performance.now();
    server = await startServer(configuration, { terminal: true, stop: stop.signal });
    const narration = openNarration((text) => print(context.stdout, text), context.stdout.isTTY === true);
    await print(context.stdout, opening(server, hub.url, configuration.data));
    const { data } = configuration;
    const { expected, steps } = await walk({
      hub,
      endpoint: server.clientsUrl,
      data,
      blobs: blobDirectory(configuration),
      folder,
      narration,
      signal: stop.signal,
      seed: randomInt(1_000_000),
      call: async (call) => {
        const flags = new Map([['data', data]]);
        return parseJson(await callServer({ positionals: [], flags }, context, call));
      },
    });
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    await narration.title(`${expected} of ${steps} steps went as expected, in ${seconds} s`);
    if (stays) {
      await print(context.stdout, staying(server));
    } else {
      await narration.tell(ending(input.flags.has('data')));
      stop.abort();
    }
    const failure = await server.ended;
    if (failure !== undefined) throw failure;
    return expected === steps ? 0 : 2;
  } catch (error) {
    // Told to stop in the middle of the tour: that is no failure of the tour, and no success.
    if (stop.signal.aborted && !(error instanceof Fault)) return 2;
    throw error;
  } finally {
    stop.abort();
    await server?.ended;
    await hub.close();
    remove();
    process.off('exit', remove);
  }
}

/** The operator's configuration with the tour's hub, and its own directory and ports where none are named. */
function configure(
  input: CommandInput,
  context: CommandContext,
  tour: { readonly upstream: URL; readonly folder: string },
): Configuration {
  const demo = input.flags.get('demo');
  if (demo !== 'true' && demo !== 'once')
    throw new Fault('command.usage', `\`--demo=${demo}\` is not a kind of tour`, {
      hint: 'write `--demo` or `--demo=once`',
    });
  if (input.flags.has('upstream'))
    throw new Fault('command.usage', 'the tour brings its own upstream hub', {
      hint: 'leave out `--upstream`',
    });
  const flags = new Map([...input.flags].filter(([name]) => name !== 'demo'));
  const own: Readonly<Record<string, string>> = {
    data: join(tour.folder, 'data'),
    listen: '127.0.0.1:0',
    'console-listen': '127.0.0.1:0',
    'log-level': 'fatal',
  };
  for (const [name, value] of Object.entries(own)) {
    const named = flags.has(name) || (context.environment[environmentName(name)] ?? '') !== '';
    if (!named) flags.set(name, value);
  }
  flags.set('upstream', tour.upstream.origin);
  flags.set('reference-ttl', '0');
  return readConfiguration({ flags, environment: context.environment, directory: context.directory });
}

function opening(server: RunningServer, upstream: URL, data: string): string {
  const lines = [
    `Weighbridge ${server.version}: the tour. Nothing leaves this machine.`,
    '',
    `  hub         ${upstream.origin}   (stands for the public one; files made now)`,
    `  clients     ${server.clientsUrl}   (the real server and the real gate)`,
    `  trust root  ${server.trustFingerprint}`,
    `  data        ${data}`,
  ];
  return `${lines.join('\n')}\n`;
}

function ending(kept: boolean): string {
  const rest = kept ? 'What was stored stays in the data directory.' : 'What was stored is removed now.';
  return `On a terminal, \`--demo\` leaves the server up, so that the lines above can be tried. ${rest}`;
}

function staying(server: RunningServer): string {
  const token =
    server.madeToken === undefined
      ? '(the configured one, or the one that was printed at the first start)'
      : server.madeToken.reveal();
  const lines = [
    '',
    'The server stays up for you to look around; Ctrl-C ends it.',
    '',
    `  console              ${server.consoleUrl}`,
    `  administrator token  ${token}`,
    `  export HF_ENDPOINT=${server.clientsUrl}`,
    '',
  ];
  return lines.join('\n');
}
