import { globSync } from 'node:fs';
import { runCheck } from './check.ts';
import { root, seconds } from './step.ts';
import type { TestCounts } from './test-reporter.ts';
import { runTests, runUnit, unitFiles, type SuiteOptions, type SuiteResult } from './tests.ts';

/** Everything else: each file gets its own process. */
const gateFiles = ['test/**/*.test.ts'];
const nightlyOnly = '.nightly.test.ts';

/** `npm run test:unit [file …]` */
export async function unit(files: readonly string[]): Promise<boolean> {
  const options = { isolated: false, timeoutMs: 120_000, live: true };
  const result = files.length > 0 ? await runTests(files, options) : await runUnit(true);
  tell([result]);
  return result.passed;
}

/** `npm test [file …]`: everything a change must pass. */
export async function gate(files: readonly string[]): Promise<boolean> {
  return suite(
    files,
    { isolated: true, timeoutMs: 15 * 60_000, live: true },
    (file) => !file.endsWith(nightlyOnly),
  );
}

/** `npm run test:nightly [file …]`: the same and the long fuzzers, soaks and matrices. */
export async function nightly(files: readonly string[]): Promise<boolean> {
  const environment = { WEIGHBRIDGE_NIGHTLY: '1' };
  return suite(files, { isolated: true, timeoutMs: 4 * 3_600_000, live: true, environment }, () => true);
}

async function suite(
  files: readonly string[],
  options: SuiteOptions,
  wanted: (file: string) => boolean,
): Promise<boolean> {
  if (files.length > 0) {
    const result = await runTests(files, options);
    tell([result]);
    return result.passed;
  }
  const checked = await runCheck();
  const fast = new Set(globSync(unitFiles, { cwd: root }));
  const slow = globSync(gateFiles, { cwd: root })
    .filter((file) => !fast.has(file) && wanted(file))
    .toSorted();
  console.log(`\ngate suite: ${slow.length} files`);
  const result = await runTests(slow, options);
  console.log(`gate suite took ${seconds(result.durationMs)}`);
  for (const step of checked.failed) console.log(`check failed: ${step}`);
  tell([checked.unit, result]);
  return checked.passed && result.passed;
}

/** The last line of a suite, for people and for programs. */
function tell(results: readonly SuiteResult[]): void {
  const sum = (key: keyof TestCounts): number =>
    results.reduce((total, { counts }) => total + counts[key], 0);
  if (process.env['WEIGHBRIDGE_REQUIRE_ALL'] === '1' && sum('skipped') > 0) {
    console.log('WEIGHBRIDGE_REQUIRE_ALL=1: a skipped test is a failure');
  }
  console.log(`${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`);
}

/** `npm run check` */
export async function check(): Promise<boolean> {
  const result = await runCheck();
  tell([result.unit]);
  return result.passed;
}
