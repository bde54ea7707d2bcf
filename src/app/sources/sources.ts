import { randomUUID } from 'node:crypto';
import type { IntakeRow } from '#adapters/postgres/intakes.ts';
import type { BlobDescriptor } from '#artifact/blob-store.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Environment } from '#evidence/predicates.ts';
import type { Egress } from '#lib/egress.ts';
import { Fault } from '#lib/fault.ts';
import type { Clock } from '#lib/clock.ts';
import { limits } from '#lib/limits.ts';
import { parsePathName } from '#lib/path-name.ts';
import { performIntake, takenName } from './perform.ts';
import type { PerformPorts } from './perform.ts';
import { parseIntake } from './request.ts';
import type { IntakeBody, IntakeOrder } from './request.ts';
import { openSourceWorker, sourceAttempts, sourceQueue } from './worker.ts';
import type { SourceJobs } from './worker.ts';

export interface SourcesPorts extends PerformPorts {
  readonly jobs: SourceJobs;
  readonly egress: Egress;
  readonly clock: Clock;
}

/** Who asks, as far as intakes care. */
export interface Orderer {
  readonly namespace: string;
  readonly environment: Environment;
}

export interface UploadPart {
  readonly path: string;
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly sizeBytes: number | undefined;
  readonly digest: Digest | undefined;
}

/** Intakes of everything that is not pulled: ordered here, done on the queue, whoever leaves meanwhile. */
export interface Sources {
  /** The new intake's id. Faults `request.invalid`, `source.forbidden`, `name.taken`, `limit.exceeded`. */
  order(orderer: Orderer, body: IntakeBody): Promise<string>;
  /** Fault `resource.unknown`. */
  show(namespace: string, id: string): Promise<IntakeRow>;
  list(namespace: string, limit: number): Promise<readonly IntakeRow[]>;
  /** One file of an upload, verified and stored. Faults `request.invalid`, `limit.exceeded`, `blob.mismatch`. */
  upload(namespace: string, id: string, part: UploadPart): Promise<BlobDescriptor>;
  /** No more files come: the intake begins. Fault `artifact.empty` where none came. */
  complete(namespace: string, id: string): Promise<void>;
  wake(): void;
  close(): Promise<void>;
}

/** An upload that nobody completes is given up. */
const uploadKeptMs = 24 * 3600 * 1000;

export function openSources(ports: SourcesPorts): Sources {
  const { intakes } = ports;
  const worker = openSourceWorker({
    jobs: ports.jobs,
    perform: (namespace, id, signal) => performIntake(ports, { namespace, id, signal }),
    end: (namespace, id, fault) => intakes.finish(namespace, id, { fault: faultForPeople(fault) }),
    failed: ports.failed,
  });
  const show = async (namespace: string, id: string): Promise<IntakeRow> => {
    const row = await intakes.find(namespace, id);
    if (row === undefined) throw new Fault('resource.unknown', 'there is no such intake');
    return row;
  };
  const enqueue = (namespace: string, id: string): Promise<void> =>
    ports.jobs.enqueue([
      { namespace, queue: sourceQueue, key: id, payload: {}, maxAttempts: sourceAttempts },
    ]);
  return {
    order: async (orderer, body) => {
      const { namespace } = orderer;
      const order = parseIntake(body);
      await admit(ports, namespace, order);
      const id = randomUUID();
      const uploads = order.task.kind === 'upload';
      await intakes.add(namespace, {
        id,
        state: uploads ? 'uploading' : 'waiting',
        source: order.shown,
        request: body,
        repository: order.repository,
        reference: order.reference,
        environment: body.environment ?? orderer.environment,
      });
      // Stopping here leaves a row that waits for ever; the caller was told nothing and orders again.
      if (!uploads) await enqueue(namespace, id);
      return id;
    },
    show,
    list: (namespace, limit) => intakes.list(namespace, limit),
    upload: async (namespace, id, part) => {
      const { state } = await show(namespace, id);
      if (state !== 'uploading') throw notUploading(state);
      return storePart(ports, { namespace, id }, part);
    },
    complete: async (namespace, id) => {
      const { state } = await show(namespace, id);
      // Said twice is said once: the answer to the first may have been lost.
      if (state !== 'uploading' && state !== 'waiting') return;
      if ((await intakes.files(namespace, id)).length === 0)
        throw new Fault('artifact.empty', 'no file was uploaded');
      await intakes.move(namespace, id, ['uploading'], 'waiting');
      await enqueue(namespace, id);
    },
    wake: worker.wake,
    close: worker.close,
  };
}

/** What can be refused at once is: bad addresses, names of others, too many open uploads. */
async function admit(ports: SourcesPorts, namespace: string, order: IntakeOrder): Promise<void> {
  const { task, repository } = order;
  if (task.kind === 'hub') {
    if (await ports.owned.isTaken(namespace, repository)) throw takenName(repository.id);
    return;
  }
  if (task.kind === 'foreign') {
    const { request } = task;
    const urls =
      request.kind === 'https'
        ? request.urls
        : request.kind === 'git'
          ? [request.url]
          : request.kind === 'oci'
            ? [request.registry]
            : request.endpoint === undefined
              ? []
              : [request.endpoint];
    for (const url of urls) ports.egress.admit(url);
  } else {
    const given = new Fault('source.absent', 'the upload was not completed within a day');
    await ports.intakes.expire(namespace, uploadKeptMs, given.toJSON());
    if ((await ports.intakes.uploading(namespace)) >= limits.openUploads)
      throw new Fault('limit.exceeded', `${limits.openUploads} uploads are open already`, {
        hint: 'complete them; one that nobody completes ends after a day',
      });
  }
  await ports.owned.take(namespace, repository);
}

async function storePart(
  ports: SourcesPorts,
  { namespace, id }: { readonly namespace: string; readonly id: string },
  part: UploadPart,
): Promise<BlobDescriptor> {
  const path = parsePathName(part.path);
  const others = await ports.intakes.measure(namespace, id, path);
  if (others.files >= limits.artifactFiles)
    throw new Fault('artifact.too-large', `there are more than ${limits.artifactFiles} files`);
  const room = ports.mostBytes - others.bytes;
  const tooMuch = new Fault('limit.exceeded', `the upload has more than ${ports.mostBytes} bytes`, {
    hint: 'the operator can raise `intake-limit`',
  });
  if ((part.sizeBytes ?? 0) > room) throw tooMuch;
  const bounded = async function* (): AsyncGenerator<Uint8Array> {
    let bytes = 0;
    for await (const chunk of part.bytes) {
      bytes += chunk.length;
      if (bytes > room) throw tooMuch;
      yield chunk;
    }
  };
  const blob = await ports.blobs.put(bounded(), {
    ...(part.digest === undefined ? {} : { digest: part.digest }),
    ...(part.sizeBytes === undefined ? {} : { sizeBytes: part.sizeBytes }),
  });
  await ports.catalog.link(namespace, [blob]);
  if (!(await ports.intakes.saveFile(namespace, id, { path, ...blob }))) throw notUploading('complete');
  return blob;
}

function notUploading(state: string): Fault {
  return new Fault('request.invalid', `the intake takes no files: it is ${state}`, {
    hint: 'order a new one',
  });
}

/** What was not foreseen may name paths and addresses of this machine: its words go to the log only. */
function faultForPeople(fault: Fault): unknown {
  if (fault.code !== 'internal.unexpected') return fault.toJSON();
  return new Fault('internal.unexpected', 'weighbridge failed unexpectedly; its log says more').toJSON();
}
