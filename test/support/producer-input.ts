import { digestOf, type Digest } from '#artifact/digest.ts';
import { buildManifest } from '#artifact/manifest.ts';
import type { ProducedFile, ProducerInput } from '#producers/producer.ts';
import { bytesOf } from './model-bytes.ts';

export interface PlantedRepository {
  readonly files: Readonly<Record<string, Uint8Array | string>>;
  /** Paths whose bytes are not here. */
  readonly absent?: readonly string[];
  readonly repository?: string;
  readonly repositoryType?: 'models' | 'datasets' | 'spaces';
}

/** What the wire would give a producer for a repository whose files are these. */
export function producerInput(planted: PlantedRepository): ProducerInput {
  const blobs = new Map<Digest, Uint8Array>();
  const absent = new Set(planted.absent);
  const files = Object.entries(planted.files).map(([path, content]): ProducedFile => {
    const bytes = bytesOf(content);
    const digest = digestOf(bytes);
    const present = !absent.has(path);
    if (present) blobs.set(digest, bytes);
    return { path, digest, sizeBytes: bytes.byteLength, gitOid: '0'.repeat(40), lfs: false, present };
  });
  const { repository = 'org/model', repositoryType = 'models' } = planted;
  const commit = 'ABCDEF'.toLowerCase().padEnd(40, '0');
  return {
    artifact: buildManifest(files).digest,
    files,
    source: {
      uri: `hf://${repositoryType}/${repository}@${commit}`,
      repositoryType,
      repository,
      commit,
      references: ['main'],
    },
    at: '2026-11-21T09:00:00Z',
    signal: new AbortController().signal,
    open(digest) {
      const bytes = blobs.get(digest);
      return Promise.resolve(
        bytes === undefined
          ? undefined
          : {
              sizeBytes: bytes.byteLength,
              localPath: undefined,
              read: (offset: number, length: number) =>
                Promise.resolve(bytes.subarray(offset, offset + length)),
              [Symbol.asyncDispose]: () => Promise.resolve(),
            },
      );
    },
    known: () => Promise.resolve(new Map()),
  };
}
