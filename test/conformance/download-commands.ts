import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { downloadFileToCacheDir } from '@huggingface/hub';
import { find } from '../support/foreign.ts';
import { openPythonHub, pythonIn } from '../support/python-hub.ts';

/** What came of one download by one foreign client. */
export interface Downloaded {
  /** Did the client say that it has the file? */
  readonly succeeded: boolean;
  /** Everything under the name that the file has when it is complete; undefined where there is nothing. */
  readonly bytes: Buffer | undefined;
  /** What the client printed or threw. */
  readonly text: string;
}

/** A file at the gate. */
export interface Wanted {
  readonly endpoint: string;
  readonly repository: string;
  readonly path: string;
}

export interface DownloadClient {
  readonly name: string;
  /** Undefined where the program is missing. */
  readonly program: string | undefined;
  /** Does it show what the server says of a refusal? Where not, that is a limit of the client. */
  readonly shows: boolean;
  /** Does the gate stream to it by default? */
  readonly tailed: boolean;
  /** Does it ask again when its connection breaks off? */
  readonly asksAgain: boolean;
  /** Does an unfinished file lie under another name? */
  readonly keepsApart: boolean;
  download(t: TestContext, wanted: Wanted): Promise<Downloaded>;
}

const resuming = fileURLToPath(new URL('python/resuming_download.py', import.meta.url));

/** As in a thousand scripts: streamed to its final name. */
const requestsScript = `
import requests, sys
with requests.get(sys.argv[1], stream=True, timeout=20) as answer:
    answer.raise_for_status()
    with open(sys.argv[2], 'wb') as file:
        for chunk in answer.iter_content(65536):
            file.write(chunk)
`;

/** Every client of the matrix. */
export function downloadClients(): readonly DownloadClient[] {
  const python = pythonIn('venv');
  return [
    hub('huggingface_hub 0.36', pythonIn('hub-0.36.0')),
    hub('huggingface_hub 1.16', pythonIn('hub-1.16.0')),
    hub('huggingface_hub current', python),
    {
      name: 'npm @huggingface/hub',
      program: 'node',
      shows: true,
      tailed: false,
      asksAgain: false,
      keepsApart: true,
      download: javaScript,
    },
    {
      ...command('curl', find('curl'), (url, file) => ['-fsS', '-D', '-', '-o', file, url]),
      asksAgain: false,
    },
    command('curl --retry -C -', find('curl'), (url, file) => [
      '-sSf',
      ...words('-D - -C - --retry 3 --retry-all-errors --retry-delay 1 -o'),
      file,
      url,
    ]),
    command('wget', find('wget'), (url, file) => ['-nv', '--tries=5', '--waitretry=1', '-O', file, url]),
    {
      ...command('aria2', find('aria2c'), (url, file) => [
        ...words('--no-conf --summary-interval=0 --file-allocation=none --max-tries=3 --dir / --out'),
        file.slice(1),
        url,
      ]),
      shows: false,
    },
    {
      ...command('requests', python, (url, file) => ['-c', requestsScript, url, file]),
      asksAgain: false,
    },
    { ...command('a resuming urllib', python, (url, file) => [resuming, url, file]), keepsApart: true },
  ];
}

function hub(name: string, program: string | undefined): DownloadClient {
  return {
    name,
    program,
    shows: true,
    tailed: true,
    asksAgain: true,
    keepsApart: true,
    download: async (t, { endpoint, repository, path }) => {
      const session = await openPythonHub(program ?? '', endpoint);
      t.after(() => session[Symbol.asyncDispose]());
      const target = join(session.home, 'into');
      const answer = await session.call('download', {
        repo_id: repository,
        filename: path,
        local_dir: target,
      });
      return {
        succeeded: answer.error === undefined,
        bytes: await readFile(join(target, path)).catch(() => undefined),
        text: `${answer.error}: ${answer.message}`,
      };
    },
  };
}

async function javaScript(t: TestContext, { endpoint, repository, path }: Wanted): Promise<Downloaded> {
  const cacheDir = await folder(t);
  try {
    const file = await downloadFileToCacheDir({ repo: repository, path, cacheDir, hubUrl: endpoint });
    return { succeeded: true, bytes: await readFile(file), text: '' };
  } catch (error) {
    return { succeeded: false, bytes: undefined, text: String(error) };
  }
}

function command(
  name: string,
  program: string | undefined,
  words: (url: string, file: string) => readonly string[],
): DownloadClient {
  return {
    name,
    program,
    shows: true,
    tailed: false,
    asksAgain: true,
    keepsApart: false,
    download: async (t, { endpoint, repository, path }) => {
      const file = join(await folder(t), path);
      // Whoever resumes has something already: of this file, all zeros at its beginning.
      if (name.includes('-C -')) await writeFile(file, Buffer.alloc(1_000_000));
      const url = `${endpoint}/${repository}/resolve/main/${path}`;
      const { code, text } = await run(program ?? '', words(url, file));
      return { succeeded: code === 0, bytes: await readFile(file).catch(() => undefined), text };
    },
  };
}

async function folder(t: TestContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'download-'));
  t.after(() => rm(made, { recursive: true, force: true }));
  return made;
}

function run(
  program: string,
  words: readonly string[],
): Promise<{ readonly code: number; readonly text: string }> {
  return new Promise((resolve) => {
    execFile(program, words, { timeout: 170_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({ code, text: stdout + stderr });
    });
  });
}

function words(text: string): readonly string[] {
  return text.split(' ');
}
