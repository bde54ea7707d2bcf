import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { parseJson } from '#lib/json.ts';
import { Fault, isErrno } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { systemClock, steadyClock } from '#lib/clock.ts';
import { writeFileDurably } from '#lib/durable-file.ts';
import { printable } from '#lib/printable.ts';
import type { AdoptionReport } from '../routes/adoption-report.ts';
import { readConfiguration } from '../config.ts';
import { callServer, dataOption, member } from './connection.ts';
import { outputFormat, outputOption, print } from './command.ts';
import type { Command, CommandContext, CommandInput } from './command.ts';
import { postToServer } from './remote.ts';

const defaultState = 'weighbridge-adopt.state';
/** Options without a value. */
const switches: ReadonlySet<string> = new Set(['offline', 'server']);

/** `weighbridge adopt`: what an organisation has already, where it is from and what is wrong with it. */
export const adopt: Command = {
  name: 'adopt',
  summary: 'inventory hub caches and directories of models: origin, scan, risks of today; changes nothing',
  usage: 'DIR…',
  options: [
    { name: 'state', value: 'FILE', summary: `what earlier runs found out; ./${defaultState} by default` },
    { name: 'report', value: 'FILE', summary: 'write the report as one HTML file' },
    { name: 'offline', summary: 'ask no upstream hub: origins stay claimed' },
    {
      name: 'upstream',
      value: 'URL',
      summary: 'hub that is asked what it lists; the configured one by default',
    },
    {
      name: 'server',
      summary: 'give the report to the running server of --data, which keeps it as evidence',
    },
    {
      name: 'server-url',
      value: 'URL',
      summary: 'give it to a server elsewhere, at its console address, with WEIGHBRIDGE_ADMIN_TOKEN',
    },
    outputOption,
    dataOption,
  ],
  run: async (input, context) => {
    const format = outputFormat(input);
    if (input.positionals.length === 0) {
      throw new Fault('command.usage', 'nothing to look at', {
        hint: 'name a hub cache (`~/.cache/huggingface`) or directories of models',
      });
    }
    const plan = planOf(input, context);
    const report = await look(input, context, plan);
    if (report === undefined) return 1;
    const { renderAdoption } = await import('../adopt/summary.ts');
    const { exitOfAdoption } = await import('../routes/adoption-report.ts');
    if (plan.report !== undefined) await writeReport(plan.report, report, context);
    await print(context.stdout, format === 'json' ? `${JSON.stringify(report)}\n` : renderAdoption(report));
    await upload(input, context, report);
    return exitOfAdoption(report);
  },
};

interface Plan {
  readonly paths: readonly string[];
  readonly state: string;
  readonly report: string | undefined;
}

/** Where things are read and written. Nothing may be written below what is read. */
function planOf(input: CommandInput, context: CommandContext): Plan {
  const absolute = (path: string): string => resolve(context.directory, path);
  const report = input.flags.get('report');
  return {
    paths: input.positionals.map(absolute),
    state: absolute(input.flags.get('state') ?? defaultState),
    report: report === undefined ? undefined : absolute(report),
  };
}

/** A mistyped path, before anything is opened; what goes away later is a notice in the report. */
async function refuseAbsent(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await stat(path).catch((cause: unknown) => {
      if (!isErrno(cause) || cause.code !== 'ENOENT') return;
      throw new Fault('file.unreadable', `\`${printable(path)}\` is not there`, { cause });
    });
  }
}

async function look(
  input: CommandInput,
  context: CommandContext,
  plan: Plan,
): Promise<AdoptionReport | undefined> {
  // Loaded here: no other command needs the readers of model formats.
  const { adopt: run } = await import('../adopt/adopt.ts');
  const { AdoptionState } = await import('../adopt/state.ts');
  const { refuseBelow } = await import('../adopt/inventory.ts');
  const { openProgressBar } = await import('../adopt/progress-bar.ts');
  const { openScanner } = await import('#producers/scan/scanner.ts');
  await refuseAbsent(plan.paths);
  refuseBelow(plan.paths, plan.state, '--state');
  if (plan.report !== undefined) refuseBelow(plan.paths, plan.report, '--report');
  const upstream = await upstreamOf(input, context);
  const stop = stopOnSignal();
  const bar = openProgressBar({ stream: context.stderr, now: () => steadyClock.now() });
  using state = await AdoptionState.open(plan.state);
  await using scanner = openScanner();
  try {
    return await run(plan.paths, {
      state,
      scanner,
      upstream,
      clock: systemClock,
      signal: stop.signal,
      progress: bar,
    });
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    bar?.clear();
    const flags = [...input.flags].filter(([name]) => name !== 'state');
    const rest = flags
      .map(([name, value]) => ` --${name}${switches.has(name) ? '' : ` ${quoted(value)}`}`)
      .join('');
    const again = `weighbridge adopt ${input.positionals.map(quoted).join(' ')} --state ${quoted(plan.state)}${rest}`;
    await print(context.stderr, `stopped; what is done is kept\nhint: go on with \`${again}\`\n`);
    return undefined;
  } finally {
    bar?.clear();
    stop.release();
  }
}

async function upstreamOf(input: CommandInput, context: CommandContext) {
  if (input.flags.has('offline')) {
    if (input.flags.has('upstream'))
      throw new Fault('command.usage', '`--offline` and `--upstream` contradict each other');
    return undefined;
  }
  const flags = new Map([...input.flags].filter(([name]) => name === 'data' || name === 'upstream'));
  const { environment, directory } = context;
  const { upstream, 'upstream-token': token } = readConfiguration({ flags, environment, directory });
  const { openHub } = await import('#adapters/hub/hub.ts');
  return { hub: openHub({ upstream, token }), url: upstream };
}

/** The first signal ends cleanly, the second at once. */
function stopOnSignal(): { readonly signal: AbortSignal; readonly release: () => void } {
  const stop = new AbortController();
  const hear = (): void => {
    if (stop.signal.aborted) process.exit(1);
    stop.abort(new Fault('command.usage', 'stopped'));
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, hear);
  return {
    signal: stop.signal,
    release: () => {
      for (const signal of signals) process.off(signal, hear);
    },
  };
}

async function writeReport(path: string, report: AdoptionReport, context: CommandContext): Promise<void> {
  const { renderAdoptionHtml } = await import('../adopt/html.ts');
  await writeFileDurably(path, new TextEncoder().encode(renderAdoptionHtml(report)), { mode: 0o600 });
  await print(context.stderr, `report written to ${printable(path)}\n`);
}

/** Gives the report to a server where one was named; a report that is too large goes without its lists of files. */
async function upload(input: CommandInput, context: CommandContext, report: AdoptionReport): Promise<void> {
  const address = input.flags.get('server-url');
  if (address === undefined && !input.flags.has('server')) return;
  const large = Buffer.byteLength(JSON.stringify(report)) > limits.adoptReportBytes;
  const models = report.models.map((model) => ({ ...model, files: [] }));
  const body = large ? { ...report, filesListed: false, models } : report;
  const call = { method: 'POST', path: '/wb/v1/adoptions', body } as const;
  const answer =
    address === undefined
      ? await callServer(input, context, call)
      : await postToServer(address, context, call);
  await print(context.stderr, `kept by the server as adoption ${String(member(parseJson(answer), 'id'))}\n`);
}

/** A word as a POSIX shell reads it back. */
function quoted(word: string): string {
  return /^[\w@%+=:,./~-]+$/.test(word) ? word : `'${printable(word).replaceAll("'", String.raw`'\''`)}'`;
}
