import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Bench, BenchRow } from '../bench/support.ts';
import { root, runStep, seconds } from './step.ts';

interface Ran {
  readonly file: string;
  readonly rows: readonly BenchRow[];
  /** Benches that threw, with what they said. */
  readonly broken: readonly string[];
}

/**
 * `npm run bench [name …]`: runs every bench of every bench/*.bench.ts, one at a time, each file in a process of its
 * own, and writes BENCHMARKS.md. With names only the files that contain one of them run, and nothing is written.
 */
export async function bench(names: readonly string[]): Promise<boolean> {
  const files = globSync('bench/**/*.bench.ts', { cwd: root })
    .filter((file) => names.length === 0 || names.some((name) => file.includes(name)))
    .toSorted();
  const results: Ran[] = [];
  for (const file of files) {
    console.log(`\n${file}`);
    results.push(await runFile(file));
  }
  const rows = results.flatMap((result) => result.rows);
  const broken = results.flatMap((result) => result.broken.map((message) => `${result.file}: ${message}`));
  for (const message of broken) console.log(`broken: ${message}`);
  if (names.length === 0) writeFileSync(join(root, 'BENCHMARKS.md'), page(results));
  const missed = rows.filter((row) => !row.met).length;
  console.log(`\n${rows.length} measured, ${missed} below their goal, ${broken.length} broken`);
  return broken.length === 0 && missed === 0 && files.length > 0;
}

async function runFile(file: string): Promise<Ran> {
  const folder = mkdtempSync(join(tmpdir(), 'weighbridge-bench-'));
  const output = join(folder, 'rows.json');
  try {
    const program = join(import.meta.dirname, 'bench.ts');
    const result = await runStep(
      { name: file, command: [process.execPath, program, join(root, file), output], timeoutMs: 30 * 60_000 },
      true,
    );
    console.log(`took ${seconds(result.durationMs)}`);
    try {
      const { rows, broken } = JSON.parse(readFileSync(output, 'utf8')) as Ran;
      return { file, rows, broken };
    } catch {
      return { file, rows: [], broken: ['ended without a result'] };
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The child: imports one bench file and leaves its rows. */
async function measure(file: string, output: string): Promise<void> {
  const { benches } = (await import(file)) as { readonly benches: readonly Bench[] };
  const rows: BenchRow[] = [];
  const broken: string[] = [];
  for (const candidate of benches) {
    try {
      rows.push(await candidate.run());
    } catch (error) {
      broken.push(
        `${candidate.name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      );
    }
  }
  writeFileSync(output, JSON.stringify({ file, rows, broken }));
}

const value = (number: number, unit: string): string =>
  `${Number(number.toPrecision(4)).toLocaleString('en')} ${unit}`;

function page(results: readonly Ran[]): string {
  const lines = results.flatMap(({ file, rows }) =>
    rows.map((row) =>
      [
        '',
        row.name,
        value(row.ours, row.unit),
        `${value(row.peer, row.unit)} (${row.peerName})`,
        row.ratio.toFixed(3),
        row.goal,
        row.met ? 'yes' : '**no**',
        `\`${file}\``,
        '',
      ].join(' | '),
    ),
  );
  const broken = results.flatMap(({ file, broken: messages }) =>
    messages.map((message) => `- \`${file}\`: ${message.split('\n')[0] ?? ''}`),
  );
  const processor = cpus()[0]?.model ?? 'unknown processor';
  return `# Benchmarks

Written by \`npm run bench\`; not edited by hand.

| What | Ours | Peer or floor, same run | Ratio | Goal | Met | Where |
|---|---|---|---|---|---|---|
${lines.map((line) => line.trim()).join('\n')}
${broken.length === 0 ? '' : `\nBroken in this run:\n\n${broken.join('\n')}\n`}
## Method

Every line compares two sides that were measured in turns in the same run on the same machine; the best of each counts. The
peer is another program or the floor that physics sets (memory, disk, one core of a hash), and the ratio is ours ÷ peer. Only
the ratio says anything about this project: the absolute numbers are those of the machine below. Files are read from the page
cache, so that the disk is not what is measured, unless a line says durable.

A goal is held against the ratio unless it names a unit; then it is held against our own number. A goal that says *guard* was
never asked for: it is a little worse than what was reached, so that a loss shows. Lines about the pull gate and the intake
come from the real server with its own PostgreSQL, started as \`weighbridge serve\` starts it, in front of a hub on loopback; its
CPU time is that of all its threads (\`getrusage\` in the process itself) without PostgreSQL's, and 5 GiB are sent per side.
nginx's is its scheduler's account. A bench of warm HEADs ends with an error where more than one request in twenty reaches
the database.

## Machine

- ${processor}, ${availableParallelism()} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GiB of memory
- load average when the run ended: ${loadavg()
    .map((load) => load.toFixed(1))
    .join(', ')}
- Linux ${release()}, Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}

## Reproduce

\`\`\`sh
npm run bench             # all of it; writes this page
npm run bench -- hash     # only files whose name contains "hash"; writes nothing
\`\`\`

A run on a busy machine is not worth keeping: both sides suffer, but not always alike.
`;
}

if (import.meta.main) {
  const [file, output] = process.argv.slice(2);
  if (file !== undefined && output !== undefined) await measure(file, output);
}
