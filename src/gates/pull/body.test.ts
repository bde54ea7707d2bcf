import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'node:test';
import Fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import type { OpenBlob } from '#artifact/blob-store.ts';
import { digestOf } from '#artifact/digest.ts';
import { memoryBlobs } from '../../../test/support/memory-blobs.ts';
import { sendBody } from './body.ts';

const MiB = 1024 * 1024;
/** No two steps of it are alike, so that a buffer that is overwritten too early shows. */
const bytes = Buffer.alloc(5 * MiB + 77);
for (let at = 0; at + 4 <= bytes.length; at += 4) bytes.writeUInt32LE(at, at);

interface House extends AsyncDisposable {
  readonly port: number;
  readonly app: FastifyInstance;
  open: number;
  /** Byte from which on reading fails. */
  breaksAt: number;
  finished: number;
}

async function openHouse(): Promise<House> {
  const blobs = memoryBlobs();
  const { digest } = await blobs.put(bytes);
  const app = Fastify({ forceCloseConnections: true });
  const house: House = {
    port: 0,
    app,
    open: 0,
    breaksAt: Infinity,
    finished: 0,
    [Symbol.asyncDispose]: () => app.close(),
  };
  const opened = async (): Promise<OpenBlob> => {
    const blob = await blobs.open(digest);
    assert.ok(blob);
    house.open += 1;
    return {
      ...blob,
      readInto: async (target, offset) => {
        await pause(1);
        if (offset >= house.breaksAt) throw new Error('the disk broke');
        return blob.readInto(target, offset);
      },
      close: async () => void (house.open -= 1),
    };
  };
  app.addHook('onResponse', async () => void (house.finished += 1));
  app.get<{ Querystring: { start: string; end: string } }>('/', async (request, reply) => {
    const start = Number(request.query.start);
    const end = Number(request.query.end);
    reply.header('content-length', String(end - start)).header('x-kept', 'yes');
    return sendBody(reply, await opened(), { start, end });
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  return Object.assign(house, { port: (app.server.address() as AddressInfo).port });
}

function ask(house: House, start: number, end: number): Socket {
  const socket = connect(house.port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(`GET /?start=${start}&end=${end} HTTP/1.1\r\nHost: h\r\n\r\n`);
  return socket;
}

async function receive(house: House, start: number, end: number): Promise<Buffer> {
  const answer = await fetch(`http://127.0.0.1:${house.port}/?start=${start}&end=${end}`);
  assert.equal(answer.headers.get('x-kept'), 'yes');
  return Buffer.from(await answer.arrayBuffer());
}

function bodyOf(chunks: readonly Buffer[]): Buffer {
  const whole = Buffer.concat(chunks);
  return whole.subarray(whole.indexOf('\r\n\r\n') + 4);
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1000 && !holds(); tries += 1) await pause(5);
  assert.ok(holds());
}

test('a body is exactly the bytes that were asked for, for many callers at once', async () => {
  await using house = await openHouse();
  const parts = [
    [0, bytes.length],
    [0, 0],
    [7, 8],
    [0, MiB],
    [1, MiB + 2],
    [bytes.length - 3, bytes.length],
    [MiB - 1, 4 * MiB + 5],
  ] as const;
  await Promise.all(
    [...parts, ...parts, ...parts].map(async ([start, end]) =>
      assert.ok((await receive(house, start, end)).equals(bytes.subarray(start, end)), `${start}-${end}`),
    ),
  );
  await until(() => house.open === 0 && house.finished === 3 * parts.length);
});

test('a caller who reads slowly gets the right bytes while others are served', async () => {
  await using house = await openHouse();
  const slow = ask(house, 0, bytes.length).pause();
  await pause(50);
  for (let round = 0; round < 5; round += 1) await receive(house, round, 2 * MiB + round);
  const chunks: Buffer[] = [];
  slow.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    slow.pause();
    setImmediate(() => slow.resume());
  });
  slow.resume();
  await until(() => house.finished === 6 && bodyOf(chunks).length === bytes.length);
  assert.ok(bodyOf(chunks).equals(bytes));
  slow.destroy();
});

test('a caller who leaves leaves no blob open', async () => {
  await using house = await openHouse();
  const socket = ask(house, 0, bytes.length).pause();
  await until(() => house.open === 1);
  socket.destroy();
  await until(() => house.open === 0);
});

test('pipelined requests are answered in order, and leaving in the middle closes every blob', async () => {
  await using house = await openHouse();
  const socket = ask(house, 0, bytes.length).pause();
  for (const start of [1, 2, 3]) {
    socket.write(`GET /?start=${start}&end=${bytes.length} HTTP/1.1\r\nHost: h\r\n\r\n`);
  }
  await until(() => house.open === 4);
  socket.destroy();
  await until(() => house.open === 0);
});

test('a body that breaks in the middle breaks the connection, one that breaks at once is an error', async () => {
  await using house = await openHouse();
  house.breaksAt = 2 * MiB;
  const socket = ask(house, 0, bytes.length);
  let received = 0;
  socket.on('data', (chunk: Buffer) => (received += chunk.length));
  await once(socket, 'close');
  assert.ok(received < 2 * MiB + 1000, `${received}`);
  const answer = await fetch(`http://127.0.0.1:${house.port}/?start=${3 * MiB}&end=${4 * MiB}`);
  assert.equal(answer.status, 500);
  await answer.text();
  await until(() => house.open === 0);
  house.breaksAt = Infinity;
  assert.equal(digestOf(await receive(house, 0, bytes.length)), digestOf(bytes));
});
