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

export interface Comparison {
  readonly ours: Measurement;
  readonly peer: Measurement;
  /** Who the peer is: another program, or the floor that physics sets. */
  readonly peerName: string;
  readonly unit: string;
  /** What the ratio must be. `atLeast` means that larger measurements are better, `atMost` that smaller are. */
  readonly goal: { readonly atLeast: number } | { readonly atMost: number };
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
  const row: BenchRow = {
    name,
    ours,
    peer,
    unit: comparison.unit,
    ratio,
    goal: 'atLeast' in goal ? `≥ ${goal.atLeast}` : `≤ ${goal.atMost}`,
    met: 'atLeast' in goal ? ratio >= goal.atLeast : ratio <= goal.atMost,
    peerName: comparison.peerName,
  };
  process.stdout.write(`${formatRow(row)}\n`);
  return row;
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
