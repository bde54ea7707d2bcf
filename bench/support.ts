/** One line of BENCHMARKS.md: what we reach, what a peer or the physical floor reaches in the same run. */
export interface BenchRow {
  readonly name: string;
  readonly ours: number;
  readonly peer: number;
  readonly unit: string;
  /** `ours` ÷ `peer`. */
  readonly ratio: number;
  readonly goal: string;
  readonly met: boolean;
  readonly peerName: string;
}

/** What `npm run bench` collects: each `bench/*.bench.ts` exports `benches: readonly Bench[]`. */
export interface Bench {
  readonly name: string;
  run(): Promise<BenchRow>;
}

/** One side of a comparison: runs once and gives its result in the unit of the comparison. */
export type Measurement = () => number | Promise<number>;

/** `atLeast` means that larger measurements are better, `atMost` that smaller are. */
export type Goal = ({ readonly atLeast: number } | { readonly atMost: number }) & {
  /** What is held against the number: the ratio by default, or our own measurement in its unit. */
  readonly of?: 'ratio' | 'ours';
  /** Nobody asked for this number: it is a little worse than what was reached, so that a loss shows. */
  readonly guard?: true;
};

export interface Comparison {
  readonly ours: Measurement;
  readonly peer: Measurement;
  /** Who the peer is: another program, or the floor that physics sets. */
  readonly peerName: string;
  readonly unit: string;
  readonly goal: Goal;
  /** Measurements of each side, taken in turns; the best of each counts. 3 by default. */
  readonly rounds?: number;
  /** No new round begins after this time, but two are always taken. 25 s by default. */
  readonly budgetMs?: number;
}

/**
 * Takes both sides in turns, so that whatever else the machine does meets both, prints the ratio of the best of each
 * and gives it as a row.
 */
export async function benchmark(name: string, comparison: Comparison): Promise<BenchRow> {
  const { goal } = comparison;
  const better = 'atLeast' in goal ? Math.max : Math.min;
  const worst = 'atLeast' in goal ? 0 : Number.POSITIVE_INFINITY;
  const start = performance.now();
  let ours = worst;
  let peer = worst;
  for (let round = 0; round < (comparison.rounds ?? 3); round += 1) {
    if (round >= 2 && performance.now() - start > (comparison.budgetMs ?? 25_000)) break;
    peer = better(peer, await comparison.peer());
    ours = better(ours, await comparison.ours());
  }
  const ratio = ours / peer;
  const held = goal.of === 'ours' ? ours : ratio;
  const row: BenchRow = {
    name,
    ours,
    peer,
    unit: comparison.unit,
    ratio,
    goal: describeGoal(goal, comparison.unit),
    met: 'atLeast' in goal ? held >= goal.atLeast : held <= goal.atMost,
    peerName: comparison.peerName,
  };
  process.stdout.write(`${formatRow(row)}\n`);
  return row;
}

function describeGoal(goal: Goal, unit: string): string {
  const bound = 'atLeast' in goal ? `≥ ${goal.atLeast}` : `≤ ${goal.atMost}`;
  return `${bound}${goal.of === 'ours' ? ` ${unit}` : ''}${goal.guard === true ? ' (guard of what was reached)' : ''}`;
}

/** Seconds that `work` takes. */
export async function timeSeconds(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

function formatRow(row: BenchRow): string {
  const value = (number: number): string => `${number.toPrecision(4)} ${row.unit}`;
  return `${row.name}: ${value(row.ours)}, ${row.peerName} ${value(row.peer)}: ratio ${row.ratio.toFixed(3)}, goal ${row.goal}, ${row.met ? 'met' : 'NOT met'}`;
}

/** Runs benches one after the other when their file is the program: `node bench/hash.bench.ts`. */
export async function runAsProgram(meta: ImportMeta, benches: readonly Bench[]): Promise<void> {
  if (!meta.main) return;
  for (const bench of benches) {
    const { met } = await bench.run();
    if (!met) process.exitCode = 2;
  }
}
