// A process for postgres-*.test.ts: opens the embedded PostgreSQL of argv[2] and does what argv[3] says, telling each
// acknowledged step on standard output, so that the test knows what must have survived when it is killed.
import { createPrivateKey } from 'node:crypto';
import { openEmbeddedPostgres } from '#adapters/postgres/open.ts';
import { openSequenceStore } from '#adapters/postgres/sequence-store.ts';
import { openSequencer } from '#evidence/log/sequence.ts';
import { signerOf } from '#evidence/signer.ts';
import { pendingEntry } from '../support/signing.ts';

const [, , data = '', task = '', key = ''] = process.argv;
const tell = (line: string) => process.stdout.write(`${line}\n`);

const postgres = await openEmbeddedPostgres(data);
tell('open');
if (task === 'wait') {
  setInterval(() => {}, 1_000);
} else {
  const signer = signerOf(
    createPrivateKey({ key: Buffer.from(key, 'base64'), format: 'der', type: 'pkcs8' }),
  );
  const clock = { now: () => 1_800_000_000_000 };
  const store = openSequenceStore(postgres.database);
  const sequencer = await openSequencer({ store, signer, origin: 'fault.example/log', clock });
  const lane = async (name: string, count: number) => {
    for (let index = 0; index < count; index += 1) {
      const label = `${task}-${name}-${index}`;
      const [logged] = await sequencer.append([await pendingEntry(signer, label)]);
      tell(`${label} ${logged?.logIndex ?? ''} ${logged?.envelopeDigest ?? ''}`);
    }
  };
  try {
    await Promise.all(
      task === 'one-by-one' ? [lane('a', 5)] : Array.from({ length: 8 }, (_, n) => lane(`${n}`, 100_000)),
    );
  } catch (error) {
    tell(`failed ${error instanceof Error ? error.message : ''}`);
  }
  await postgres.close();
}
