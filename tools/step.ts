import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

export interface Step {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly environment?: Readonly<Record<string, string>>;
  /** Kill it after this time. */
  readonly timeoutMs?: number;
}

export interface StepResult {
  readonly name: string;
  readonly passed: boolean;
  readonly durationMs: number;
  readonly output: string;
}

/** The environment of every step: the pinned Node and the locked tools come first on the path. */
export function toolEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const path = `${dirname(process.execPath)}:${root}/node_modules/.bin:${process.env['PATH'] ?? ''}`;
  return { ...process.env, ...extra, PATH: path };
}

/** Runs one command to its end with stdin closed; its output is returned, and shown as it comes when `live`. */
export function runStep(step: Step, live = false): Promise<StepResult> {
  const started = performance.now();
  return new Promise((resolve) => {
    const child = spawn(step.command[0], step.command.slice(1), {
      cwd: root,
      env: toolEnvironment(step.environment),
      stdio: ['ignore', live ? 'inherit' : 'pipe', live ? 'inherit' : 'pipe'],
    });
    const chunks: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => chunks.push(chunk));
    const timer =
      step.timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            chunks.push(Buffer.from(`\nkilled after ${step.timeoutMs} ms\n`));
            child.kill('SIGKILL');
          }, step.timeoutMs);
    const finish = (passed: boolean): void => {
      clearTimeout(timer);
      const durationMs = performance.now() - started;
      resolve({ name: step.name, passed, durationMs, output: Buffer.concat(chunks).toString() });
    };
    child.on('error', (error) => {
      chunks.push(Buffer.from(error.message));
      finish(false);
    });
    child.on('close', (code) => finish(code === 0));
  });
}

/** `12.3 s` */
export function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`;
}
