import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { IntakeView } from '../../src/app/routes/intakes.ts';
import { missing } from './foreign.ts';
import { openPythonHub, pythonIn } from './python-hub.ts';
import type { WholeHouse } from './whole-house.ts';

/** Orders an intake over the interface and waits for its end. */
export async function takeIn(house: WholeHouse, body: unknown): Promise<IntakeView> {
  const { status, body: answer } = await house.call('POST', '/wb/v1/intakes', body);
  assert.equal(status, 202, JSON.stringify(answer));
  return settled(house, (answer as { id: string }).id);
}

export async function settled(house: WholeHouse, id: string): Promise<IntakeView> {
  for (;;) {
    const { status, body } = await house.call('GET', `/wb/v1/intakes/${id}`);
    assert.equal(status, 200, JSON.stringify(body));
    const view = body as IntakeView;
    if (view.state === 'done' || view.state === 'failed') return view;
    await pause(50);
  }
}

/** The code of the Fault with which ordering or doing an intake ends. */
export async function refusalOf(house: WholeHouse, body: unknown): Promise<string> {
  const { status, body: answer } = await house.call('POST', '/wb/v1/intakes', body);
  if (status !== 202) return (answer as { error: { code: string } }).error.code;
  const { fault } = await settled(house, (answer as { id: string }).id);
  return fault?.code ?? 'done';
}

const python = pythonIn('venv');
export const withoutHubClient = missing('huggingface_hub in .cache/venv', python !== undefined);

/** What `snapshot_download` of the unmodified huggingface_hub brings of a repository: path → SHA-256. */
export async function snapshotByHub(
  house: WholeHouse,
  id: string,
  revision = 'main',
): Promise<Readonly<Record<string, string>>> {
  await using hub = await openPythonHub(python ?? '', house.server.clients);
  const { value, message } = await hub.call('snapshot', { repo_id: id, revision });
  assert.equal(message, undefined);
  return value as Readonly<Record<string, string>>;
}

export function sha256Hex(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}
