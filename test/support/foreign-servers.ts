import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digestOf } from '#artifact/digest.ts';
import { find } from './foreign.ts';
import { root } from './server.ts';

export interface ForeignServer extends AsyncDisposable {
  readonly url: string;
}

const moto = join(root, '.cache/moto-venv/bin');
export const motoProgram = existsSync(join(moto, 'moto_server')) ? join(moto, 'moto_server') : undefined;
export const registryProgram = find('docker-registry');

export interface S3Server extends ForeignServer {
  readonly id: string;
  readonly secret: string;
}

/**
 * moto's S3 with one bucket in it, paging after two objects. With `signed` it checks signatures, but of plain names only:
 * it unescapes paths and queries before it signs them.
 */
export async function openS3Server(
  bucket: string,
  files: Readonly<Record<string, Uint8Array | string>>,
  { signed }: { readonly signed: boolean },
): Promise<S3Server> {
  const setUp = Object.keys(files).length + 4;
  const child = spawn(motoProgram ?? 'moto_server', ['-H', '127.0.0.1', '-p', '0'], {
    env: {
      PATH: '/usr/bin:/bin',
      MOTO_S3_DEFAULT_MAX_KEYS: '2',
      ...(signed ? { INITIAL_NO_AUTH_ACTION_COUNT: String(setUp) } : {}),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const url = await spoken(child, /(http:\/\/127\.0\.0\.1:\d+)/);
  const script = join(root, 'test/support/python/s3_setup.py');
  const setup = spawn(join(moto, 'python'), [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const encoded = Object.entries(files).map(([name, bytes]) => [name, Buffer.from(bytes).toString('base64')]);
  setup.stdin.end(
    JSON.stringify({
      endpoint: url,
      bucket,
      files: Object.fromEntries(encoded),
      acl: signed ? 'private' : 'public-read',
    }),
  );
  let said = '';
  for await (const chunk of setup.stdout) said += String(chunk);
  return {
    url,
    ...(JSON.parse(said) as { id: string; secret: string }),
    [Symbol.asyncDispose]: () => end(child),
  };
}

export interface OciRegistry extends ForeignServer {
  /** Pushes layers as the distribution specification says and gives the manifest's digest. */
  push(repository: string, tag: string, layers: readonly PushedLayer[]): Promise<string>;
}

export interface PushedLayer {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Debian's docker-registry (CNCF distribution) over an empty folder. */
export async function openOciRegistry(): Promise<OciRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'registry-'));
  const configuration = join(folder, 'config.yml');
  await writeFile(
    configuration,
    `version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: ${folder}/data}}\nhttp: {addr: "127.0.0.1:0"}\n`,
  );
  const child = spawn(registryProgram ?? 'docker-registry', ['serve', configuration], {
    env: { PATH: '/usr/bin:/bin', OTEL_TRACES_EXPORTER: 'none' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const address = await spoken(child, /listening on (127\.0\.0\.1:\d+)/);
  const url = `http://${address}`;
  const upload = async (repository: string, bytes: Uint8Array): Promise<string> => {
    const begun = await fetch(`${url}/v2/${repository}/blobs/uploads/`, { method: 'POST' });
    const place = new URL(begun.headers.get('location') ?? '', url);
    const digest = digestOf(bytes);
    place.searchParams.set('digest', digest);
    const put = await fetch(place, {
      method: 'PUT',
      body: Buffer.from(bytes),
      headers: { 'content-type': 'application/octet-stream' },
    });
    if (put.status !== 201) throw new Error(`blob: ${put.status} ${await put.text()}`);
    return digest;
  };
  return {
    url,
    push: async (repository, tag, layers) => {
      const config = Buffer.from('{}');
      const manifest = {
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        artifactType: 'application/vnd.cncf.model.manifest.v1+json',
        config: {
          mediaType: 'application/vnd.cncf.model.config.v1+json',
          digest: await upload(repository, config),
          size: config.length,
        },
        layers: [] as unknown[],
      };
      for (const { bytes, mediaType, annotations } of layers) {
        const digest = await upload(repository, bytes);
        manifest.layers.push({
          mediaType,
          digest,
          size: bytes.length,
          ...(annotations === undefined ? {} : { annotations }),
        });
      }
      const body = JSON.stringify(manifest);
      const put = await fetch(`${url}/v2/${repository}/manifests/${tag}`, {
        method: 'PUT',
        body,
        headers: { 'content-type': manifest.mediaType },
      });
      if (put.status !== 201) throw new Error(`manifest: ${put.status} ${await put.text()}`);
      return digestOf(Buffer.from(body));
    },
    [Symbol.asyncDispose]: async () => {
      await end(child);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function spoken(child: ChildProcess, pattern: RegExp): Promise<string> {
  let output = '';
  return new Promise((resolve, reject) => {
    const hear = (chunk: Buffer): void => {
      output += chunk.toString();
      const found = pattern.exec(output)?.[1];
      if (found !== undefined) resolve(found);
    };
    child.stdout?.on('data', hear);
    child.stderr?.on('data', hear);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${output}`)));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exited;
}
