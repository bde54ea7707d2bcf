import { availableParallelism } from 'node:os';
import { digestOf, hexOf } from '#artifact/digest.ts';
import { predicateTypes, type ProducerIdentity } from '#evidence/predicates.ts';
import { statementType } from '#evidence/statement.ts';
import { encodeJcs } from '#lib/jcs.ts';
import { limits } from '#lib/limits.ts';
import { WorkerPool } from '#lib/worker-pool.ts';
import type { ProducedFile, Producer, ProducerInput } from '../producer.ts';
import { buildBom, type BomFile } from './cyclonedx.ts';
import type { FactsRole, FileFacts } from './file-facts.ts';
import { knownSpdxIds } from './licences.ts';

export const bomIdentity: ProducerIdentity = {
  name: 'weighbridge-bom',
  version: '2',
  ruleSetDigest: digestOf(encodeJcs({ specVersion: '1.6', knownSpdxIds })),
};

const workerScript = new URL(
  `./bom-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`,
  import.meta.url,
);

/**
 * The AI-BOM of an artifact, one statement about its digest. Headers of foreign files are read in worker threads with
 * the limits of a scan; a file that cannot be read is listed with its digest and without facts.
 */
export function createBomProducer(): Producer & AsyncDisposable & { warm(): void } {
  const pool = new WorkerPool<{ readonly role: FactsRole }, FileFacts>({
    script: workerScript,
    size: Math.min(2, availableParallelism()),
    timeMs: limits.scanTimeMs,
    memoryMB: limits.scanMemoryMB,
  });
  return {
    identity: bomIdentity,
    predicateType: predicateTypes.bom,
    async produce(input) {
      const files: BomFile[] = [];
      for (const file of input.files) files.push(await readOne(pool, input, file));
      return [
        {
          _type: statementType,
          subject: [{ digest: { sha256: hexOf(input.artifact) } }],
          predicateType: predicateTypes.bom,
          predicate: buildBom(input.artifact, files, input.source),
        },
      ];
    },
    warm: () => pool.warm(),
    [Symbol.asyncDispose]: () => pool.close(),
  };
}

/** What a path makes of a file for the BOM; undefined for files that say nothing about the model. */
export function factsRole(path: string): FactsRole | undefined {
  if (path === 'config.json') return 'config';
  if (path === 'adapter_config.json') return 'adapter';
  if (path === 'tokenizer_config.json') return 'tokenizer';
  if (path === 'README.md') return 'card';
  return /\.(safetensors|gguf|bin|pt|pth|ckpt|pkl|pickle|faiss|index|hnsw|hnswlib|lance|sqlite3?|db)$/i.test(
    path,
  )
    ? 'weights'
    : undefined;
}

async function readOne(
  pool: WorkerPool<{ readonly role: FactsRole }, FileFacts>,
  input: ProducerInput,
  { path, sizeBytes, digest, present }: ProducedFile,
): Promise<BomFile> {
  const role = present ? factsRole(path) : undefined;
  const source = role === undefined ? undefined : await input.open(digest);
  if (role === undefined || source === undefined) {
    return { path, sizeBytes, digest, measured: present, facts: undefined };
  }
  await using _closing = source;
  const outcome = await pool.run({ role }, [source], {
    signal: input.signal,
    lane: input.artifact,
  });
  if (outcome.kind === 'failed' && outcome.reason === 'aborted') input.signal.throwIfAborted();
  return {
    path,
    sizeBytes,
    digest,
    measured: true,
    facts: outcome.kind === 'done' ? outcome.value : undefined,
  };
}
