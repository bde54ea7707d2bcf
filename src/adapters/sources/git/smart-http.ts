import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { openByteReader } from '#lib/byte-reader.ts';
import type { ByteReader } from '#lib/byte-reader.ts';
import { askFor, authorizationFor } from '../site.ts';
import type { Site } from '../site.ts';
import { encodeCommand, readPacket, textOf } from './pkt-line.ts';

export interface GitRemote {
  readonly site: Site;
  /** Without a slash at its end. */
  readonly url: URL;
  readonly signal: AbortSignal;
}

const objectId = /^[0-9a-f]{40}$/;
const lied = (why: string): Fault => new Fault('upstream.lied', `the git server ${why}`);

/**
 * The commit that a revision means at the remote now: a full commit id, a branch, a tag, or the default branch. Speaks
 * protocol version 2 over smart HTTP itself, so that every request is under our rules about addresses; the `git` program
 * never sees the network.
 */
export async function resolveRevision(remote: GitRemote, revision: string | undefined): Promise<string> {
  await requireVersion2(remote);
  if (revision !== undefined && objectId.test(revision)) return revision;
  const short = revision?.replace(/^refs\/(?:heads|tags)\//, '');
  const names = short === undefined ? ['HEAD'] : [`refs/heads/${short}`, `refs/tags/${short}`];
  const body = encodeCommand('ls-refs', ['peel', 'symrefs', ...names.map((name) => `ref-prefix ${name}`)]);
  const reader = await post(remote, body);
  const found = new Map<string, string>();
  try {
    for (;;) {
      const line = textOf(await readPacket(reader));
      if (line === undefined) break;
      const [oid = '', name = '', ...attributes] = line.split(' ');
      if (!objectId.test(oid) || found.size > limits.artifactFiles)
        throw lied('lists a reference that is none');
      const peeled = attributes.find((one) => one.startsWith('peeled:'))?.slice('peeled:'.length);
      found.set(name, peeled ?? oid);
    }
  } finally {
    await reader.close();
  }
  for (const name of names) {
    const oid = found.get(name);
    if (oid !== undefined && objectId.test(oid)) return oid;
  }
  throw new Fault('source.absent', `the repository has no branch or tag \`${revision ?? 'HEAD'}\``);
}

async function requireVersion2({ site, url, signal }: GitRemote): Promise<void> {
  const asked = new URL(`${url.href}/info/refs?service=git-upload-pack`);
  const headers = { ...authorizationFor(site, asked), 'git-protocol': 'version=2' };
  const answer = await askFor(site, { url: asked, signal, headers }, [200]);
  const reader = openByteReader(answer.body);
  try {
    const lines: string[] = [];
    for (let packets = 0; packets < 200; packets += 1) {
      const packet = await readPacket(reader);
      if (packet === undefined) break;
      const line = textOf(packet);
      if (line === undefined && lines.includes('version 2')) break;
      if (line !== undefined) lines.push(line);
    }
    if (!lines.includes('version 2')) {
      throw new Fault('upstream.lied', 'the git server does not speak protocol version 2', {
        hint: 'servers of git 2.18 and newer do',
      });
    }
    if (lines.some((line) => line.startsWith('object-format=') && line !== 'object-format=sha1'))
      throw new Fault('platform.unsupported', 'the repository does not name objects by SHA-1');
  } finally {
    answer.discard();
    await reader.close();
  }
}

/**
 * The pack of one commit without its history, as bytes. Ends with Fault `upstream.lied` where the server says that
 * something went wrong on its side.
 */
export async function* fetchPack(remote: GitRemote, commit: string): AsyncGenerator<Uint8Array> {
  const body = encodeCommand('fetch', [`want ${commit}`, 'deepen 1', 'no-progress', 'ofs-delta', 'done']);
  const reader = await post(remote, body);
  try {
    let section: string | undefined;
    for (;;) {
      const packet = await readPacket(reader);
      if (packet === undefined) throw lied('ended before the pack did');
      if (packet.kind === 'flush' || packet.kind === 'end') {
        if (section === 'packfile') return;
        throw lied('sent no pack');
      }
      if (packet.kind !== 'text') section = undefined;
      else if (section === undefined) section = textOf(packet);
      else if (section === 'packfile') {
        if (packet.bytes[0] === 1) yield packet.bytes.subarray(1);
        else if (packet.bytes[0] === 3) throw new Fault('upstream.unavailable', 'the git server gave up');
      }
      if (section?.startsWith('ERR ') === true)
        throw new Fault('source.absent', 'the git server does not give this commit out');
    }
  } finally {
    await reader.close();
  }
}

async function post({ site, url, signal }: GitRemote, body: Uint8Array): Promise<ByteReader> {
  const asked = new URL(`${url.href}/git-upload-pack`);
  const headers = {
    ...authorizationFor(site, asked),
    'content-type': 'application/x-git-upload-pack-request',
    accept: 'application/x-git-upload-pack-result',
    'git-protocol': 'version=2',
    'content-length': String(body.length),
  };
  const answer = await askFor(site, { url: asked, signal, headers, body }, [200]);
  return openByteReader(answer.body);
}
