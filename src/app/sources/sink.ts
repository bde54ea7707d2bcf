import { createHash } from 'node:crypto';
import type { BlobDescriptor, BlobStore } from '#artifact/blob-store.ts';
import type { Catalog, SnapshotFile } from '#artifact/catalog.ts';
import { hexOf } from '#artifact/digest.ts';
import type { SourceFile, SourceSink } from '#artifact/source.ts';
import type { IntakeProgress } from '#adapters/postgres/intakes.ts';
import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { parsePathName } from '#lib/path-name.ts';

/** Up to this size a file is shown as one that lies in git itself, above it as an LFS file, as hubs do it. */
const smallBytes = 1024 * 1024;

export interface SinkPorts {
  readonly blobs: BlobStore;
  readonly catalog: Pick<Catalog, 'link' | 'linked'>;
  readonly namespace: string;
  /** Bytes of one intake. */
  readonly mostBytes: number;
  readonly signal: AbortSignal;
  /** Called for every piece: must be quick. */
  readonly progress: (progress: IntakeProgress) => void;
}

/** Takes the files of one collection into the store, whatever source they come from. */
export interface OpenSink {
  readonly sink: SourceSink;
  /** What has been taken so far, in no order. */
  files(): readonly SnapshotFile[];
}

export function openSink(ports: SinkPorts): OpenSink {
  const taken = new Map<string, SnapshotFile>();
  const named = new Set<string>();
  let total: { readonly files: number; readonly bytes: number | undefined } | undefined;
  let bytes = 0;
  const note = (more: number): void => {
    bytes += more;
    if (bytes > ports.mostBytes) throw tooMuch(ports.mostBytes);
    ports.progress({
      files: taken.size,
      bytes,
      totalFiles: total?.files ?? null,
      totalBytes: total?.bytes ?? null,
    });
  };
  const counted = async function* (source: AsyncIterable<Uint8Array>) {
    for await (const chunk of source) {
      ports.signal.throwIfAborted();
      note(chunk.length);
      yield chunk;
    }
  };
  return {
    files: () => [...taken.values()],
    sink: {
      signal: ports.signal,
      expect: (expected) => {
        if (expected.files > limits.artifactFiles) throw tooMany();
        if ((expected.bytes ?? 0) > ports.mostBytes) throw tooMuch(ports.mostBytes);
        total = expected;
        note(0);
      },
      put: async (file, open) => {
        ports.signal.throwIfAborted();
        parsePathName(file.path);
        if (named.has(file.path)) throw new Fault('path.collision', `\`${file.path}\` is named twice`);
        if (named.size >= limits.artifactFiles) throw tooMany();
        named.add(file.path);
        const blob = (await here(ports, file)) ?? (await store(ports, file, counted(open())));
        taken.set(file.path, await describe(ports.blobs, file, blob));
        note(0);
      },
    },
  };
}

/** Bytes that the namespace holds already, where the source names them by their digest. */
async function here(
  ports: SinkPorts,
  { digest, sizeBytes }: SourceFile,
): Promise<BlobDescriptor | undefined> {
  if (digest === undefined) return undefined;
  const linked = await ports.catalog.linked(ports.namespace, [digest]);
  const found = linked.has(digest) ? await ports.blobs.stat(digest) : undefined;
  return sizeBytes === undefined || found?.sizeBytes === sizeBytes ? found : undefined;
}

async function store(
  ports: SinkPorts,
  { path, digest, sizeBytes }: SourceFile,
  bytes: AsyncIterable<Uint8Array>,
): Promise<BlobDescriptor> {
  try {
    const blob = await ports.blobs.put(bytes, {
      ...(digest === undefined ? {} : { digest }),
      ...(sizeBytes === undefined ? {} : { sizeBytes }),
    });
    await ports.catalog.link(ports.namespace, [blob]);
    return blob;
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'blob.mismatch') throw error;
    throw new Fault('upstream.lied', `\`${path}\` has other bytes than were declared`, {
      details: { path, ...error.details },
      cause: error,
    });
  }
}

/** A file as the hub protocol shows it: its git id, or that of the LFS pointer that stands for it. */
async function describe(blobs: BlobStore, file: SourceFile, blob: BlobDescriptor): Promise<SnapshotFile> {
  const { digest, sizeBytes } = blob;
  const known = { path: file.path, digest, sizeBytes };
  if (file.git !== undefined) return { ...known, gitOid: file.git.oid, lfs: file.git.lfs };
  if (sizeBytes > smallBytes) {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${hexOf(digest)}\nsize ${sizeBytes}\n`;
    return { ...known, gitOid: gitOidOf(Buffer.from(pointer)), lfs: true };
  }
  await using open = await blobs.open(digest);
  if (open === undefined) throw new Fault('blob.missing', `the bytes of \`${file.path}\` are gone`);
  return { ...known, gitOid: gitOidOf(await open.read(0, sizeBytes)), lfs: false };
}

/** The id that git gives to a blob. */
function gitOidOf(bytes: Uint8Array): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

function tooMany(): Fault {
  return new Fault('artifact.too-large', `there are more than ${limits.artifactFiles} files`);
}

function tooMuch(mostBytes: number): Fault {
  return new Fault('limit.exceeded', `the source has more than ${mostBytes} bytes`, {
    hint: 'the operator can raise `intake-limit`',
  });
}
