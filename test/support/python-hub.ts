import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The interpreter of an environment under `.cache`, undefined where it was not made. */
export function pythonIn(environment: string): string | undefined {
  const python = join(root, '.cache', environment, 'bin', 'python');
  return existsSync(python) ? python : undefined;
}

export interface PythonAnswer {
  readonly value?: unknown;
  readonly error?: string;
  readonly message?: string;
}

/** A Python process with the unmodified huggingface_hub in it; only HF_ENDPOINT and a fresh HF_HOME are set. */
export interface PythonHub extends AsyncDisposable {
  /** `HF_HOME` of this client; the cache is `hub` below it. */
  readonly home: string;
  call(name: string, values?: Readonly<Record<string, unknown>>): Promise<PythonAnswer>;
}

export async function openPythonHub(
  python: string,
  endpoint: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<PythonHub> {
  const home = await mkdtemp(join(tmpdir(), 'hub-home-'));
  const script = join(root, 'test/conformance/python/hub_session.py');
  const child: ChildProcess = spawn(python, [script], {
    env: clientEnvironment(python, endpoint, { HF_HOME: home, ...environment }),
    stdio: ['pipe', 'pipe', process.env['WEIGHBRIDGE_SHOW_PYTHON'] === '1' ? 'inherit' : 'ignore'],
  });
  if (child.stdin === null || child.stdout === null) throw new Error('python has no pipes');
  const { stdin, stdout } = child;
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  return {
    home,
    call: async (name, values = {}) => {
      stdin.write(`${JSON.stringify({ call: name, arguments: values })}\n`);
      const line = await lines.next();
      if (line.done === true) throw new Error(`python ended during \`${name}\``);
      return JSON.parse(line.value) as PythonAnswer;
    },
    [Symbol.asyncDispose]: async () => {
      stdin.end();
      if (child.exitCode === null) await new Promise((resolve) => child.once('exit', resolve));
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** What a user's shell would have: a path, a home, and HF_ENDPOINT. */
export function clientEnvironment(
  python: string,
  endpoint: string,
  more: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  return {
    PATH: `${dirname(python)}:/usr/bin:/bin`,
    HOME: more['HF_HOME'] ?? tmpdir(),
    HF_ENDPOINT: endpoint,
    ...more,
  };
}
