import assert from 'node:assert/strict';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { faultSites } from '#lib/fault-point.ts';
import type { FaultMoment, FaultSite } from '#lib/fault-point.ts';
import { openLoopbackHub } from '../support/hub/hub.ts';
import type { LoopbackHub } from '../support/hub/hub.ts';
import { removeFolder, runWeighbridge, startTestServer } from '../support/server.ts';
import { drive, holdsEverything, nothingAcknowledged, npmStart } from './server-driver.ts';
import type { Acknowledged } from './server-driver.ts';

const nightly = process.env['WEIGHBRIDGE_NIGHTLY'] === '1';
const moments: readonly FaultMoment[] = ['before', 'after'];

/** One planned kill: at the n-th passing of a write, on a new directory or on one that is in use. */
interface Kill {
  readonly site: FaultSite;
  readonly moment: FaultMoment;
  readonly passing: number;
  readonly directory: 'new' | 'used';
}

type Passings = ReadonlyMap<string, number>;
const nameOf = ({ site, moment }: Pick<Kill, 'site' | 'moment'>): string => `${site} ${moment}`;

async function countPassings(trace: string, from = 0): Promise<Passings> {
  const counts = new Map<string, number>();
  for (const line of (await readFile(trace, 'utf8')).split('\n').slice(from, -1))
    counts.set(line, (counts.get(line) ?? 0) + 1);
  return counts;
}

/** What a life of the server passes where: a first start, a later start, and the traffic after it. */
interface Survey {
  readonly first: Passings;
  readonly later: Passings;
  readonly traffic: Passings;
}

async function survey(hub: LoopbackHub, data: string): Promise<Survey> {
  const record = async (n: number, before: (trace: string) => Promise<void>): Promise<string> => {
    const trace = join(data, `trace-${n}`);
    const { server, serves } = await npmStart(join(data, 'house'), hub, { WEIGHBRIDGE_FAULT_TRACE: trace });
    assert.ok(serves, server.output());
    await before(trace);
    await drive(server, hub, n, nothingAcknowledged());
    await server.stop();
    return trace;
  };
  let first: Passings = new Map();
  let later: Passings = new Map();
  let started = 0;
  await record(9_001, async (trace) => {
    first = await countPassings(trace);
  });
  const trace = await record(9_002, async (path) => {
    later = await countPassings(path);
    started = [...later.values()].reduce((sum, count) => sum + count, 0);
  });
  return { first, later, traffic: await countPassings(trace, started) };
}

/** Every site on both sides: during traffic where traffic passes it, and during a first start where that does. */
function planKills({ first, later, traffic }: Survey): readonly Kill[] {
  const kills: Kill[] = [];
  for (const site of faultSites) {
    for (const moment of moments) {
      const name = nameOf({ site, moment });
      const started = later.get(name) ?? 0;
      const count = traffic.get(name) ?? 0;
      if (count > 0) kills.push({ site, moment, passing: started + 1, directory: 'used' });
      const atFirst = first.get(name) ?? 0;
      // On a new directory the gate suite takes one side of every second site, and both where traffic does not pass it.
      const place = faultSites.indexOf(site) * 2 + (moment === 'before' ? 0 : 1);
      if (atFirst > 0 && (nightly || count === 0 || place % 4 === 1))
        kills.push({ site, moment, passing: Math.min(atFirst, 2), directory: 'new' });
      if (!nightly) continue;
      for (const passing of [2, 3, Math.ceil(count / 2), count].filter((n) => n > 1 && n <= count))
        kills.push({ site, moment, passing: started + passing, directory: 'used' });
      if (atFirst > 2) kills.push({ site, moment, passing: atFirst, directory: 'new' });
    }
  }
  return kills;
}

/** A data directory with what its server has answered for, used by one kill after the other. */
interface Place {
  readonly data: string;
  readonly acknowledged: Acknowledged;
}

let repositories = 0;

/** Starts `npm start` armed, drives it, and proves that the server died by SIGKILL at the planned write. */
async function strike(hub: LoopbackHub, place: Place, kill: Kill): Promise<'start' | 'traffic'> {
  const trace = `${place.data}.trace`;
  await removeFolder(trace);
  const fault = `${kill.site}:${kill.moment}:kill@${kill.passing}`;
  const { server, serves } = await npmStart(place.data, hub, {
    WEIGHBRIDGE_FAULT_AT: fault,
    WEIGHBRIDGE_FAULT_TRACE: trace,
  });
  if (serves) {
    repositories += 1;
    let cut: unknown;
    await drive(server, hub, repositories, place.acknowledged).catch((error: unknown) => (cut = error));
    const ended = await Promise.race([server.exit, sleep(20_000, undefined, { ref: false })]);
    if (ended === undefined) {
      await server.stop();
      throw new Error(`the server did not die at ${fault}`, { cause: cut });
    }
  }
  const { code, signal } = await server.exit;
  assert.ok(code === 137 || signal === 'SIGKILL', `${fault}: npm ended with ${code} ${signal}`);
  const [, site, moment, pid] =
    /^killed (\S+) (\S+) (\d+)$/.exec((await readFile(trace, 'utf8')).trimEnd().split('\n').at(-1) ?? '') ??
    [];
  assert.deepEqual([site, moment], [kill.site, kill.moment], 'the server died, but not at the planned write');
  assert.throws(() => process.kill(Number(pid), 0), { code: 'ESRCH' });
  return serves ? 'traffic' : 'start';
}

/** The next start repairs everything: `doctor` passes and nothing that was answered is lost. */
async function restart(hub: LoopbackHub, place: Place): Promise<void> {
  const server = await startTestServer({ upstream: hub.url, data: place.data });
  try {
    const doctor = await runWeighbridge(['doctor', '--data', place.data]);
    assert.equal(doctor.code, 0, doctor.stdout + doctor.stderr);
    await holdsEverything(server, place.acknowledged);
  } finally {
    assert.equal(await server.stop(), 0, server.output());
  }
}

test('npm start killed at every write: nothing answered is lost', { concurrency: 2 }, async (t) => {
  const hub = await openLoopbackHub();
  const folder = await mkdtemp(join(tmpdir(), 'weighbridge-kill-'));
  t.after(async () => {
    await hub.close();
    await removeFolder(folder);
  });
  const kills = planKills(await survey(hub, folder));
  const struck = new Map<string, number>();
  const waiting = kills.values();
  const lane = async (number: number): Promise<void> => {
    let used: Place | undefined;
    for (const kill of waiting) {
      const count = struck.size;
      const place: Place =
        kill.directory === 'used' && used !== undefined
          ? used
          : {
              data: join(folder, `${number}-${count}-${kill.site}-${kill.moment}`),
              acknowledged: nothingAcknowledged(),
            };
      if (kill.directory === 'used' && used === undefined) {
        used = place;
        const { server } = await npmStart(place.data, hub);
        await server.stop();
      }
      await t.test(
        `${kill.site} ${kill.moment} @${kill.passing} (${kill.directory} directory)`,
        async (s) => {
          s.diagnostic(`killed during ${await strike(hub, place, kill)}`);
          struck.set(nameOf(kill), (struck.get(nameOf(kill)) ?? 0) + 1);
          await restart(hub, place);
        },
      );
      if (place !== used) await removeFolder(place.data);
    }
  };
  await Promise.all([lane(1), lane(2)]);
  for (const site of faultSites)
    for (const moment of moments)
      assert.ok(struck.has(nameOf({ site, moment })), `no kill really happened ${moment} ${site}`);
});
