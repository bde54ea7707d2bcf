import { runStep, seconds, type Step } from './step.ts';
import { runUnit, type SuiteResult } from './tests.ts';

const steps: readonly Step[] = [
  { name: 'types', command: ['tsc', '-p', '.'] },
  { name: 'console types', command: ['tsc', '-p', 'console'] },
  { name: 'browser test types', command: ['tsc', '-p', 'test/e2e'] },
  { name: 'lint', command: ['oxlint', '--type-aware', '--quiet'] },
  { name: 'format', command: ['oxfmt', '--check'] },
  { name: 'dead code', command: ['knip', '--no-progress'] },
  { name: 'console client', command: ['node', 'tools/generate-client.ts', '--check'] },
];

export interface CheckResult {
  readonly passed: boolean;
  /** Names of the steps that failed. */
  readonly failed: readonly string[];
  readonly unit: SuiteResult;
}

/** `npm run check`: types, lint, format, dead code, architecture and unit tests. Every step runs, also after a failure. */
export async function runCheck(): Promise<CheckResult> {
  const started = performance.now();
  const failed: string[] = [];
  const note = (name: string, passed: boolean, durationMs: number, output: string): void => {
    console.log(`${passed ? '    ok' : 'FAILED'} ${seconds(durationMs).padStart(8)}  ${name}`);
    if (!passed) failed.push(name);
    if (!passed || name === 'unit tests') process.stdout.write(output);
  };
  // Two lanes for two cores: the unit tests use one, the tools take turns on the other.
  const tools = async (): Promise<void> => {
    for (const step of steps) {
      const result = await runStep(step);
      note(step.name, result.passed, result.durationMs, result.output);
    }
  };
  const tests = async (): Promise<SuiteResult> => {
    const result = await runUnit(false);
    note('unit tests', result.passed, result.durationMs, result.output);
    return result;
  };
  const [unit] = await Promise.all([tests(), tools()]);
  console.log(`check took ${seconds(performance.now() - started)}`);
  return { passed: failed.length === 0, failed, unit };
}
