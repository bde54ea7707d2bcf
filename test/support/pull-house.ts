import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import Fastify, { type FastifyInstance } from 'fastify';
import { openHub, type Hub } from '#adapters/hub/hub.ts';
import type { BlobStore } from '#artifact/blob-store.ts';
import { digestOf } from '#artifact/digest.ts';
import { pullGate } from '#gates/pull/gate.ts';
import type { Arrival, Delivery, Intake, Listing, Principal, PullEvent, Ruling } from '#gates/pull/ports.ts';
import { pullServerOptions } from '#gates/pull/server-options.ts';
import { defaultPullSettings, type PullSettings } from '#gates/pull/settings.ts';
import { systemClock } from '#lib/clock.ts';
import { Fault, toFault } from '#lib/fault.ts';
import type { Decision, Question, Reason, Verdict } from '#policy/decision.ts';
import { arrivingBytes, type ArrivingBytes } from './arriving-bytes.ts';
import { memoryBlobs } from './memory-blobs.ts';
import { memoryMarks, type MemoryMarks } from './memory-marks.ts';

/** What the in-memory house says about a path: it allows unless told otherwise. */
export interface Verdicts {
  /** By path, or `*` for a whole commit. */
  readonly denied: Map<string, string>;
  readonly warned: Map<string, string>;
  /** A commit that was let pass before and is not any more. */
  readonly withdrawn: Set<string>;
}

export interface PullHouse extends AsyncDisposable {
  readonly url: string;
  readonly verdicts: Verdicts;
  readonly events: PullEvent[];
  readonly questions: Question[];
  /** Authorization headers as the principals' port saw them. */
  readonly tokens: (string | undefined)[];
  readonly blobs: BlobStore;
  /** Milliseconds that an intake takes before it is ready, after the last byte. */
  setIntakeDelay(milliseconds: number): void;
  /** What callers are told of how long it may take. */
  setRetryAfter(seconds: number): void;
  /** No intake that is under way becomes ready until the answered function is called. */
  holdIntakes(): () => void;
  /** Every intake is done again when it is next wanted. */
  forget(): void;
  /** How files are delivered whose intake is pending; by default they are held. */
  setDelivery(delivery: Delivery): void;
  /** Transfers from upstream, to be held up. A name is `<namespace> <type>/<id>@<commit> <path>`. */
  readonly arriving: ArrivingBytes;
  /** What is remembered of bytes that left unverified; files of one digest share it. */
  readonly marks: MemoryMarks;
  /** Bytes as sent over a socket, the whole answer as text (latin-1); resolves when the server closes or falls silent. */
  raw(request: string, silenceMs?: number): Promise<string>;
}

const digestOfNothing = digestOf(new Uint8Array());

/** The pull gate on a real socket in front of an upstream, with every port in memory. */
export async function openPullHouse(
  upstream: URL,
  settings: Partial<PullSettings> = {},
  timeouts = { headerMs: 2_000, idleMs: 500 },
): Promise<PullHouse> {
  const blobs = memoryBlobs();
  const verdicts: Verdicts = { denied: new Map(), warned: new Map(), withdrawn: new Set() };
  const [events, questions, tokens]: [PullEvent[], Question[], (string | undefined)[]] = [[], [], []];
  const state: IntakeState = {
    delayMs: 0,
    retryAfterSeconds: 1,
    held: undefined,
    work: new Map(),
    delivery: { mode: 'hold', everyClient: false },
  };
  const marks = memoryMarks();
  const transfers = arrivingBytes();
  const arriving: ArrivingBytes = {
    ...transfers,
    discard: (name) => {
      marks.beginAll();
      transfers.discard(name);
    },
  };
  const intake = memoryIntake(openHub({ upstream, retryMs: 10, timeouts }), blobs, {
    state,
    arriving,
    marks,
  });
  const app: FastifyInstance = Fastify({ ...pullServerOptions, forceCloseConnections: true });
  pullGate(app, {
    intake,
    blobs,
    partials: marks,
    clock: systemClock,
    journal: { note: (event) => void events.push(event) },
    principals: {
      authenticate: async (authorization, namespace) => {
        tokens.push(authorization?.reveal());
        if (namespace !== undefined && namespace !== 'team-a')
          throw new Fault('resource.unknown', 'no such namespace');
        return principalOf(authorization?.reveal(), namespace);
      },
    },
    decisions: {
      ask: async (question) => {
        questions.push(question);
        return rulingOn(verdicts, question, question.files?.[0] ?? '*');
      },
      standing: async (listing, principal) => {
        if (!verdicts.withdrawn.has(listing.commit) && !verdicts.denied.has('*')) return undefined;
        const ruling = rulingOn(verdicts, wholeQuestion(listing, principal), '*');
        return { ...ruling, withdrawn: verdicts.withdrawn.has(listing.commit) };
      },
    },
    settings: { ...defaultPullSettings, explainUrl: () => 'http://127.0.0.1:7081/console/why', ...settings },
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const address = app.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    verdicts,
    events,
    questions,
    tokens,
    blobs,
    setIntakeDelay: (milliseconds) => void (state.delayMs = milliseconds),
    setRetryAfter: (seconds) => void (state.retryAfterSeconds = seconds),
    holdIntakes: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      state.held = promise;
      return () => {
        state.held = undefined;
        resolve();
      };
    },
    forget: () => state.work.clear(),
    setDelivery: (delivery) => void (state.delivery = delivery),
    arriving,
    marks,
    raw: (request, silenceMs = 1_000) => exchange(port, request, silenceMs),
    [Symbol.asyncDispose]: () => app.close(),
  };
}

function principalOf(authorization: string | undefined, namespace = 'default'): Principal {
  const known = authorization === 'Bearer wb_known';
  return {
    class: known ? 'client' : 'anonymous',
    id: known ? 'p-1' : undefined,
    namespace,
    environment: 'development',
  };
}

function wholeQuestion(listing: Listing, principal: Principal): Question {
  return {
    principal: principal.class,
    action: 'pull',
    artifact: digestOfNothing,
    files: [],
    namespace: listing.namespace,
    environment: principal.environment,
  };
}

function rulingOn(verdicts: Verdicts, question: Question, path: string): Ruling {
  const denied =
    verdicts.denied.get(path) ??
    (verdicts.withdrawn.size > 0 && path === '*' ? 'revoked: stolen' : undefined);
  const warned = verdicts.warned.get(path);
  const verdict: Verdict = denied !== undefined ? 'deny' : warned !== undefined ? 'warn' : 'allow';
  const reason: Reason = {
    rule: denied === undefined ? 'review-soon' : 'no-code-on-load',
    effect: verdict,
    message: denied ?? warned ?? '',
    evidence: [],
    missing: null,
    who: 'the model security team',
    remedy: 'ask for a safetensors file',
  };
  const decision: Decision = {
    version: 1,
    question,
    verdict,
    reasons: verdict === 'allow' ? [] : [reason],
    evidenceUsed: [],
    policyDigest: digestOfNothing,
    trustDigest: digestOfNothing,
    checkpoint: { size: 1, rootHash: '' },
    at: '2026-01-01T00:00:00Z',
    validUntil: null,
  };
  return { decision, withdrawn: false };
}

interface IntakeState {
  delayMs: number;
  retryAfterSeconds: number;
  held: Promise<void> | undefined;
  readonly work: Map<string, { readonly since: number; readonly done: Promise<Arrival> }>;
  delivery: Delivery;
}

function memoryIntake(
  hub: Hub,
  blobs: BlobStore,
  {
    state,
    arriving,
    marks,
  }: { readonly state: IntakeState; readonly arriving: ArrivingBytes; readonly marks: MemoryMarks },
): Intake {
  const listings = new Map<string, Listing>();
  const { work } = state;
  const forever = new AbortController().signal;
  const nameOf = (listing: Listing, path: string): string =>
    `${listing.namespace} ${listing.repository.type}/${listing.repository.id}@${listing.commit} ${path}`;
  const bring = async (listing: Listing, path: string): Promise<Arrival> => {
    const file = listing.files.find((candidate) => candidate.path === path);
    if (file === undefined) throw new Error(`no ${path}`);
    try {
      const through = arriving.through(nameOf(listing, path), file.sizeBytes, blobs);
      if (file.lfsDigest !== undefined) marks.begin(file.lfsDigest);
      const { digest } = await hub.fetch({ ...listing, file }, through, forever);
      marks.published(digest);
      await state.held;
      await pause(state.delayMs);
      return { kind: 'ready', artifact: digestOfNothing, digests: new Map([[path, digest]]) };
    } catch (error) {
      return { kind: 'failed', fault: toFault(error) };
    } finally {
      if (file.lfsDigest !== undefined) marks.ended(file.lfsDigest);
      arriving.settled(nameOf(listing, path));
    }
  };
  return {
    resolve: async (namespace, repository, revision) => {
      const answer = await hub.resolve(repository, revision, forever);
      if (answer.kind === 'absent') return answer;
      const name = `${namespace} ${repository.type}/${repository.id}@${answer.commit}`;
      const known = listings.get(name);
      if (known !== undefined) return { kind: 'found', listing: known };
      const files = await hub.tree(repository, answer.commit, forever);
      const listing = { namespace, repository, commit: answer.commit, files, card: answer.card };
      listings.set(name, listing);
      return { kind: 'found', listing };
    },
    want: async (listing, paths, { waitMs, signal }) => {
      const [path] = paths;
      const { retryAfterSeconds } = state;
      if (path === undefined) return { kind: 'pending', since: Date.now(), retryAfterSeconds };
      const name = nameOf(listing, path);
      const started = work.get(name) ?? { since: Date.now(), done: bring(listing, path) };
      work.set(name, started);
      const waited = pause(waitMs, undefined, { signal }).catch(() => undefined);
      const arrival = await Promise.race([started.done, waited]);
      return arrival ?? { kind: 'pending', since: started.since, retryAfterSeconds };
    },
    follow: (listing, path, { waitMs, signal }) =>
      arriving.follow(
        nameOf(listing, path),
        state.delivery,
        AbortSignal.any([signal, AbortSignal.timeout(waitMs)]),
      ),
    refs: (_namespace, repository) => hub.refs(repository, forever),
    list: async (_namespace, query) => {
      const ids = [
        ...new Map([...listings.values()].map((listing) => [listing.repository.id, listing])).values(),
      ]
        .filter(
          ({ repository }) => repository.type === query.type && repository.id.includes(query.search ?? ''),
        )
        .sort((left, right) => (left.repository.id < right.repository.id ? -1 : 1))
        .filter(({ repository }) => repository.id > (query.after ?? ''));
      const page = ids.slice(0, query.limit);
      return {
        repositories: page.map(({ repository, commit, card }) => ({ id: repository.id, commit, card })),
        next: ids.length > page.length ? page.at(-1)?.repository.id : undefined,
      };
    },
  };
}

async function exchange(port: number, request: string, silenceMs: number): Promise<string> {
  const socket: Socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  let answer = '';
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
  const closed = Promise.race([once(socket, 'close'), once(socket, 'error')]);
  socket.write(Buffer.from(request, 'latin1'));
  await Promise.race([closed, silence(socket, silenceMs)]);
  socket.destroy();
  return answer;
}

async function silence(socket: Socket, silenceMs: number): Promise<void> {
  socket.setTimeout(silenceMs);
  await once(socket, 'timeout');
}
