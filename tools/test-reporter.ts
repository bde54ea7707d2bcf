import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { EventData } from 'node:test';
import type { TestEvent } from 'node:test/reporters';
import { inspect } from 'node:util';

/** What one run of the test runner came to. */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Unit tests share one process and a minute; one that takes longer than this is named. */
const slowMs = 1500;
const together = process.execArgv.includes('--test-isolation=none');

/**
 * A quiet reporter: failures in full, skips with their reason, one line per test file when files run on their own.
 * The counts go to the file that `WEIGHBRIDGE_TEST_COUNTS` names; a run that leaves none has crashed.
 */
export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of source) {
    if (event.type === 'test:fail') yield failure(event.data);
    if (event.type === 'test:pass' && event.data.skip !== undefined) {
      const reason = event.data.skip === true || event.data.skip === '' ? 'no reason given' : event.data.skip;
      yield `  skip  ${place(event.data)} ${event.data.name}: ${reason}\n`;
    }
    if (event.type === 'test:pass' && together && event.data.details.duration_ms > slowMs) {
      const time = `${(event.data.details.duration_ms / 1000).toFixed(1)} s`;
      yield `  slow  ${time.padStart(6)}  ${place(event.data)} ${event.data.name}\n`;
    }
    if (event.type === 'test:stdout' || event.type === 'test:stderr') yield event.data.message;
    if (event.type !== 'test:summary') continue;
    const { counts, duration_ms: durationMs, file } = event.data;
    if (file === undefined) {
      const skipped = counts.skipped + counts.todo;
      // The type of the runner leaves `failed` out; what neither passed nor was skipped failed or was cancelled.
      writeCounts({ passed: counts.passed, failed: counts.tests - counts.passed - skipped, skipped });
      continue;
    }
    const result = event.data.success ? '    ok' : 'FAILED';
    const time = `${(durationMs / 1000).toFixed(1)} s`.padStart(8);
    yield `${result} ${time}  ${relative(process.cwd(), file)} (${counts.tests} tests)\n`;
  }
}

function writeCounts(counts: TestCounts): void {
  const file = process.env['WEIGHBRIDGE_TEST_COUNTS'];
  if (file !== undefined) writeFileSync(file, JSON.stringify(counts));
}

interface Reported {
  readonly name: string;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
}

function place(test: Reported): string {
  return test.file === undefined ? '' : `${relative(process.cwd(), test.file)}:${test.line ?? 0}`;
}

function failure(test: EventData.TestFail): string {
  const { error } = test.details;
  // A parent fails because its child did, which has been told already.
  if ('failureType' in error && error.failureType === 'subtestsFailed') return '';
  const cause = error.cause ?? error;
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : inspect(cause);
  return `\n✖ ${test.name}\n  ${place(test)}\n  ${text.replaceAll('\n', '\n  ')}\n\n`;
}
