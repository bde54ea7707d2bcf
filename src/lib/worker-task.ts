import { open, type FileHandle } from 'node:fs/promises';
import { parentPort, type MessagePort } from 'node:worker_threads';

/** What the pool sends to a worker. */
export type TaskMessage =
  | {
      readonly kind: 'task';
      readonly task: unknown;
      readonly sources: readonly { readonly localPath: string | undefined; readonly sizeBytes: number }[];
    }
  | {
      readonly kind: 'bytes';
      readonly id: number;
      readonly bytes: Uint8Array | undefined;
      readonly message?: string;
    };

/** What a worker sends to the pool. */
export type WorkerMessage =
  | { readonly kind: 'done'; readonly value: unknown }
  | { readonly kind: 'error'; readonly message: string }
  | {
      readonly kind: 'read';
      readonly id: number;
      readonly source: number;
      readonly offset: number;
      readonly lengthBytes: number;
    };

/** Random access to the bytes of one source of the task. */
export interface WorkerSource {
  readonly sizeBytes: number;
  read(offset: number, lengthBytes: number): Promise<Uint8Array>;
}

/** The work on one task; what it returns and throws travels back to the pool. */
export type Perform = (task: unknown, sources: readonly WorkerSource[]) => Promise<unknown>;

type Waiting = Map<number, { resolve: (bytes: Uint8Array) => void; reject: (error: Error) => void }>;

/**
 * The worker's side of `WorkerPool`: answers each task with what `perform` returns. Sources with a local path are
 * opened read-only on first use and closed after the task; the others are read through the pool's thread.
 */
export function serveTasks(perform: Perform): void {
  const port = parentPort;
  if (port === null) throw new Error('serveTasks runs in a worker thread');
  const waiting: Waiting = new Map();
  port.on('message', (message: TaskMessage) => {
    if (message.kind === 'bytes') {
      const request = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.bytes === undefined)
        request?.reject(new Error(message.message ?? 'the source cannot be read'));
      else request?.resolve(message.bytes);
      return;
    }
    void answer(port, message, waiting, perform);
  });
}

async function answer(
  port: MessagePort,
  message: TaskMessage & { kind: 'task' },
  waiting: Waiting,
  perform: Perform,
): Promise<void> {
  const handles: FileHandle[] = [];
  const send = (reply: WorkerMessage): void => port.postMessage(reply);
  try {
    const sources = message.sources.map((source, index) =>
      source.localPath === undefined
        ? remoteSource(index, source.sizeBytes, { send, waiting })
        : localSource(source.localPath, source.sizeBytes, handles),
    );
    send({ kind: 'done', value: await perform(message.task, sources) });
  } catch (error) {
    send({ kind: 'error', message: error instanceof Error ? error.message : String(error) });
  } finally {
    await Promise.all(handles.map((handle) => handle.close()));
  }
}

let requests = 0;

function remoteSource(
  source: number,
  sizeBytes: number,
  { send, waiting }: { readonly send: (message: WorkerMessage) => void; readonly waiting: Waiting },
): WorkerSource {
  return {
    sizeBytes,
    read: (offset, lengthBytes) =>
      new Promise((resolve, reject) => {
        requests += 1;
        waiting.set(requests, { resolve, reject });
        send({ kind: 'read', id: requests, source, offset, lengthBytes });
      }),
  };
}

function localSource(path: string, sizeBytes: number, handles: FileHandle[]): WorkerSource {
  let opening: Promise<FileHandle> | undefined;
  const handle = async (): Promise<FileHandle> => {
    const opened = await open(path, 'r');
    handles.push(opened);
    return opened;
  };
  return {
    sizeBytes,
    async read(offset, lengthBytes) {
      opening ??= handle();
      const length = Math.max(0, Math.min(lengthBytes, sizeBytes - offset));
      return readFully(await opening, offset, length);
    },
  };
}

async function readFully(handle: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, offset + filled);
    if (bytesRead === 0) throw new Error('the file became shorter while it was read');
    filled += bytesRead;
  }
  return bytes;
}
