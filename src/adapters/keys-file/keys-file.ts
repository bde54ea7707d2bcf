import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { keyAlgorithms, signerOf, type KeyAlgorithm, type Signer } from '#evidence/signer.ts';
import { keyRoles, type KeyRole } from '#evidence/trust.ts';
import {
  createDirectoryDurably,
  syncDirectory,
  temporarySuffix,
  writeFilesDurably,
} from '#lib/durable-file.ts';
import { Fault, isErrno } from '#lib/fault.ts';
import { Redacted } from '#lib/redacted.ts';

export type FileKeys = Readonly<Record<KeyRole, Signer>>;

export interface KeysFileOptions {
  /** Algorithms of keys that are made; ECDSA P-256 by default, and always Ed25519 for the log. */
  readonly algorithms?: Partial<Readonly<Record<Exclude<KeyRole, 'log'>, KeyAlgorithm>>>;
}

const maximumKeyBytes = 16 * 1024;

/**
 * The four keys of an installation as PKCS#8 PEM files `<role>.pem` (0600) in one directory (0700). They are made once,
 * all four together, when the directory is not there or empty; afterwards a missing one is Fault `key.missing`, never a
 * new key, because a new key would be a stranger to the trust root. Files or a directory that group or others can
 * read, links, other key types, one key in two roles and a log key that is not Ed25519 are Fault `key.invalid`.
 */
export async function openKeysFile(directory: string, options: KeysFileOptions = {}): Promise<FileKeys> {
  if (!(await hasEntries(directory))) await createKeys(directory, options);
  await refuseShared(directory);
  const keys = {
    log: await readSigner(directory, 'log'),
    evidence: await readSigner(directory, 'evidence'),
    decisions: await readSigner(directory, 'decisions'),
    release: await readSigner(directory, 'release'),
  };
  if (keys.log.algorithm !== 'ed25519') {
    throw new Fault('key.invalid', `the log key is \`${keys.log.algorithm}\`, C2SP notes need Ed25519`);
  }
  if (new Set(keyRoles.map((role) => keys[role].keyId)).size !== keyRoles.length) {
    throw new Fault('key.invalid', 'two roles have the same key', { hint: 'every role needs its own key' });
  }
  return keys;
}

async function createKeys(directory: string, options: KeysFileOptions): Promise<void> {
  const parent = dirname(directory);
  await createDirectoryDurably(parent);
  const prefix = `.${basename(directory)}.`;
  // What an interrupted first start left: keys that nothing was ever signed with.
  for (const name of await readdir(parent)) {
    if (name.startsWith(prefix) && name.endsWith(temporarySuffix))
      await rm(join(parent, name), { recursive: true });
  }
  const made = await mkdtemp(join(parent, prefix));
  const temporary = `${made}${temporarySuffix}`;
  await rename(made, temporary);
  await chmod(temporary, 0o700);
  await writeFilesDurably(
    keyRoles.map((role) => {
      const algorithm =
        role === 'log' ? 'ed25519' : (options.algorithms?.[role] ?? 'ecdsa-sha2-256-nistp256');
      return { path: join(temporary, `${role}.pem`), bytes: Buffer.from(generatePem(algorithm).reveal()) };
    }),
    { mode: 0o600 },
  );
  // Stopping before the rename: no keys exist and the next start makes new ones. After it: all four exist. There is
  // no moment with some of them, which could not be told from a lost key.
  await rename(temporary, directory);
  await syncDirectory(parent);
}

function generatePem(algorithm: KeyAlgorithm): Redacted<string> {
  const { curve } = keyAlgorithms[algorithm];
  const { privateKey } =
    curve === null ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: curve });
  return new Redacted(privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

async function readSigner(directory: string, role: KeyRole): Promise<Signer> {
  const path = join(directory, `${role}.pem`);
  return signerOf((await readPrivateKey(path)).reveal());
}

async function readPrivateKey(path: string): Promise<Redacted<KeyObject>> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    (cause: unknown) => {
      throw unreadable(path, cause);
    },
  );
  try {
    const status = await handle.stat();
    if (!status.isFile() || status.size > maximumKeyBytes) {
      throw new Fault('key.invalid', `\`${path}\` is not a key file`);
    }
    if ((status.mode & 0o077) !== 0) throw shared(path, '600');
    const bytes = await handle.readFile();
    try {
      return new Redacted(createPrivateKey(bytes));
    } catch {
      // The library's own error is not kept as cause: it could quote the file.
      throw new Fault('key.invalid', `\`${path}\` does not hold an unencrypted PKCS#8 PEM key`);
    } finally {
      bytes.fill(0);
    }
  } finally {
    await handle.close();
  }
}

async function hasEntries(directory: string): Promise<boolean> {
  try {
    return (await readdir(directory)).length > 0;
  } catch (thrown) {
    if (isErrno(thrown) && thrown.code === 'ENOENT') return false;
    throw unreadable(directory, thrown);
  }
}

async function refuseShared(directory: string): Promise<void> {
  if (((await stat(directory)).mode & 0o077) !== 0) throw shared(directory, '700');
}

function shared(path: string, mode: string): Fault {
  return new Fault('key.invalid', `\`${path}\` can be read by others than its owner`, {
    hint: `replace the keys if that was so for long, then run \`chmod ${mode} ${path}\``,
  });
}

function unreadable(path: string, cause: unknown): Fault {
  const code = isErrno(cause) && cause.code === 'ENOENT' ? 'key.missing' : 'key.invalid';
  return new Fault(code, `the key \`${path}\` cannot be read`, {
    hint: 'restore the keys directory from its back-up; new keys would be strangers to the trust root',
    cause,
  });
}
