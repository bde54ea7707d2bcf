import { connect } from 'node:net';
import { join } from 'node:path';
import { Fault } from '#lib/fault.ts';
import { withShortPath } from './cli/connection.ts';

/** The data directory belongs to one running server: its socket answers as long as that server lives. */
export async function refuseSecondServer(data: string): Promise<void> {
  const folder = join(data, 'run');
  const answered = await withShortPath(folder, 'weighbridge.sock', (path) => {
    return new Promise<boolean>((resolve) => {
      const socket = connect(path, () => (socket.destroy(), resolve(true)));
      socket.on('error', () => resolve(false));
    });
  }).catch(() => false);
  if (answered) {
    throw new Fault('directory.in-use', `another server is running on \`${data}\``, {
      hint: 'stop it first, or choose another directory with `--data`',
    });
  }
}
