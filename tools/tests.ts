import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, runStep, type StepResult } from './step.ts';
import type { TestCounts } from './test-reporter.ts';

/** Fast tests: they share one process, start no foreign program and together take seconds. */
export const unitFiles = ['src/**/*.test.ts', 'test/architecture.test.ts', 'test/dependencies.test.ts'];

export interface SuiteResult extends StepResult {
  readonly counts: TestCounts;
}

export interface SuiteOptions {
  readonly isolated: boolean;
  readonly timeoutMs: number;
  readonly live: boolean;
  readonly environment?: Readonly<Record<string, string>>;
}

/** Runs test files with the pinned Node. A crash, a timeout and a run without a summary count as a failure. */
export async function runTests(files: readonly string[], options: SuiteOptions): Promise<SuiteResult> {
  const folder = mkdtempSync(join(tmpdir(), 'weighbridge-test-'));
  const countsFile = join(folder, 'counts.json');
  try {
    const isolation = options.isolated
      ? ['--test-concurrency=2', `--test-timeout=${options.timeoutMs}`]
      : ['--test-isolation=none'];
    const result = await runStep(
      {
        name: 'tests',
        command: [
          process.execPath,
          '--test',
          ...isolation,
          `--test-reporter=${join(root, 'tools', 'test-reporter.ts')}`,
          ...files,
        ],
        environment: { ...options.environment, WEIGHBRIDGE_TEST_COUNTS: countsFile },
        ...(options.isolated ? {} : { timeoutMs: options.timeoutMs }),
      },
      options.live,
    );
    const counts = readCounts(countsFile);
    const strict = process.env['WEIGHBRIDGE_REQUIRE_ALL'] === '1' && counts.skipped > 0;
    const failed = counts.failed === 0 && !result.passed ? 1 : counts.failed;
    return { ...result, passed: failed === 0 && !strict, counts: { ...counts, failed } };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readCounts(file: string): TestCounts {
  try {
    const { passed, failed, skipped } = JSON.parse(readFileSync(file, 'utf8')) as TestCounts;
    return { passed, failed, skipped };
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

/** The unit tests of `npm run check`. */
export function runUnit(live: boolean): Promise<SuiteResult> {
  return runTests(globSync(unitFiles, { cwd: root }).toSorted(), {
    isolated: false,
    timeoutMs: 120_000,
    live,
  });
}
