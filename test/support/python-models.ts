import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { missing } from './foreign.ts';

const python = new URL('../../.cache/venv/bin/python', import.meta.url).pathname;
const scripts = new URL('../conformance/python/', import.meta.url).pathname;

/** The reason to skip a test that needs the real writers and readers, or false. Made by tools/python-env.sh. */
export function missingPythonModels(): string | false {
  return missing('.cache/venv with torch, safetensors and gguf', existsSync(python));
}

let written: ReadonlyMap<string, Buffer> | undefined;

/** Models by the real writers, by file name; written once per process. */
export function writeRealModels(): ReadonlyMap<string, Buffer> {
  written ??= runWriters();
  return written;
}

function runWriters(): ReadonlyMap<string, Buffer> {
  const folder = mkdtempSync(join(tmpdir(), 'weighbridge-models-'));
  try {
    const { status, stderr } = spawnSync(python, [join(scripts, 'write_models.py'), folder], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`write_models.py failed: ${stderr}`);
    return new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What the real reader says about each file: null where it refuses it. */
export function askRealReader(
  format: 'safetensors' | 'gguf',
  files: readonly Uint8Array[],
): readonly unknown[] {
  const input = Buffer.concat(
    files.flatMap((bytes) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.byteLength);
      return [length, bytes];
    }),
  );
  const { status, stdout, stderr } = spawnSync(python, [join(scripts, 'read_models.py'), format], {
    input,
    maxBuffer: 1024 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`read_models.py failed: ${stderr.toString()}`);
  const lines = stdout.toString().trimEnd().split('\n');
  if (lines.length !== files.length) throw new Error(`${lines.length} answers to ${files.length} files`);
  return lines.map((line): unknown => JSON.parse(line));
}

/** Copies of files with one change each: a byte, a truncation, an addition, a removal, a repetition. */
export function mutate(
  originals: readonly Uint8Array[],
  count: number,
  random: (below: number) => number,
): readonly Uint8Array[] {
  return Array.from({ length: count }, (_, index) => {
    const original = Buffer.from(originals[index % originals.length] ?? []);
    // Most changes go where the header is; the data bytes mean nothing to a reader.
    const at = random(Math.min(original.length, random(10) < 8 ? 300 : original.length));
    const rest = original.subarray(at);
    switch (random(6)) {
      case 0:
        return original.subarray(0, at);
      case 1:
        return Buffer.concat([original, Buffer.alloc(1 + random(40), 7)]);
      case 2:
        return Buffer.concat([original.subarray(0, at), rest.subarray(1 + random(4))]);
      case 3:
        return Buffer.concat([original.subarray(0, at), rest.subarray(0, 1 + random(60)), rest]);
      case 4:
        return Buffer.concat([original.subarray(0, at), Buffer.from([48 + random(10)]), rest.subarray(1)]);
      default:
        return Buffer.concat([original.subarray(0, at), Buffer.from([random(256)]), rest.subarray(1)]);
    }
  });
}
