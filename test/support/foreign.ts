import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * Says why a test that needs a foreign program is skipped: `test('…', { skip: missing('nginx', have('nginx')) }, …)`.
 * False when it is present. With `WEIGHBRIDGE_REQUIRE_ALL=1` (.ci/run) an absent program is an error, not a skip.
 */
export function missing(program: string, present: boolean): string | false {
  if (present) return false;
  if (process.env['WEIGHBRIDGE_REQUIRE_ALL'] === '1') {
    throw new Error(`\`${program}\` is required because WEIGHBRIDGE_REQUIRE_ALL=1, and it is not here`);
  }
  return `\`${program}\` is not on this machine`;
}

/** Is there an executable with this name on the path (or at it, when it contains a slash)? */
export function have(program: string): boolean {
  return find(program) !== undefined;
}

/** The full path of an executable, looked up as a shell would; also in the system folders a short PATH leaves out. */
export function find(program: string): string | undefined {
  if (program.includes('/')) return isExecutable(program) ? program : undefined;
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    '/usr/local/go/bin',
    '/usr/sbin',
    '/sbin',
  ];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, program))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
