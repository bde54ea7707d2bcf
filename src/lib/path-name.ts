import { Fault } from './fault.ts';
import { limits } from './limits.ts';
import { printable } from './printable.ts';

const forbidden = /[\p{Cc}\\]/u;

/**
 * The path of a file inside an artifact, or Fault `path.invalid`: relative, components separated by one `/`, none of
 * them empty, `.` or `..`, no control character (Unicode Cc, so NUL, DEL and C1 too), no backslash, well-formed
 * Unicode, at most `limits.pathBytes` in UTF-8 and `limits.pathComponentBytes` per component (OMS v1.0 "resources",
 * OCI ModelPack `org.cncf.model.filepath`). Case and Unicode form stay as they are; see `foldPathName`.
 */
export function parsePathName(text: string): string {
  const reason = refusal(text);
  if (reason === undefined) return text;
  throw new Fault('path.invalid', `\`${printable(text, 200)}\` is not a path inside an artifact: ${reason}`, {
    hint: 'use a relative path with `/` between names',
  });
}

function refusal(text: string): string | undefined {
  if (text.length === 0) return 'it is empty';
  if (!text.isWellFormed()) return 'it is not valid Unicode';
  if (text.length > limits.pathBytes || Buffer.byteLength(text) > limits.pathBytes) {
    return `it is longer than ${limits.pathBytes} bytes`;
  }
  if (forbidden.test(text)) return 'it holds a control character or a backslash';
  for (const component of text.split('/')) {
    if (component === '') return 'a name is empty';
    if (component === '.' || component === '..') return `a name is \`${component}\``;
    if (component.length * 3 > limits.pathComponentBytes) {
      if (Buffer.byteLength(component) > limits.pathComponentBytes) {
        return `a name is longer than ${limits.pathComponentBytes} bytes`;
      }
    }
  }
  return undefined;
}

/**
 * Order by Unicode code point, which is also the order of the UTF-8 bytes. The default sort of JavaScript compares
 * UTF-16 units and puts U+10000 and above before U+E000: never use it for paths.
 */
export function compareCodePoints(left: string, right: string): number {
  if (left === right) return 0;
  const shared = Math.min(left.length, right.length);
  for (let index = 0; index < shared; index += 1) {
    const a = left.charCodeAt(index);
    const b = right.charCodeAt(index);
    if (a !== b) return rankUnit(a) - rankUnit(b);
  }
  return left.length - right.length;
}

/** Surrogates, which stand for U+10000 and above, rank after every other unit. */
function rankUnit(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

/**
 * The same text for every spelling that a file system without case or with one Unicode form would take for one name.
 * Only for finding collisions; it joins a little too much (dotless `ı` and `i`), never too little for the letters
 * that simple case mapping and canonical equivalence cover.
 */
export function foldPathName(path: string): string {
  if (/^[\x20-\x7e]*$/.test(path)) return path.toLowerCase();
  return path.normalize('NFD').toLowerCase().toUpperCase().toLowerCase().normalize('NFC');
}

/** Two or more spellings of a file or directory name that fold to one. */
export interface PathCollision {
  readonly folded: string;
  /** Code-point order. */
  readonly paths: readonly string[];
}

/**
 * Names, directories included, that would be one on a file system that ignores case or Unicode form. A finding, not
 * an error: a repository made on Linux may hold `A` and `a`.
 */
export function findPathCollisions(paths: Iterable<string>): readonly PathCollision[] {
  const spellings = new Map<string, string | Set<string>>();
  const seenDirectories = new Set<string>();
  for (const path of paths) {
    addSpelling(spellings, path);
    for (let cut = path.lastIndexOf('/'); cut > 0; cut = path.lastIndexOf('/', cut - 1)) {
      const directory = path.slice(0, cut);
      if (seenDirectories.has(directory)) break;
      seenDirectories.add(directory);
      addSpelling(spellings, directory);
    }
  }
  const collisions: PathCollision[] = [];
  for (const [folded, found] of spellings) {
    if (typeof found !== 'string') collisions.push({ folded, paths: [...found].sort(compareCodePoints) });
  }
  return collisions.sort((left, right) => compareCodePoints(left.folded, right.folded));
}

function addSpelling(spellings: Map<string, string | Set<string>>, path: string): void {
  const folded = foldPathName(path);
  const found = spellings.get(folded);
  if (found === undefined) spellings.set(folded, path);
  else if (typeof found !== 'string') found.add(path);
  else if (found !== path) spellings.set(folded, new Set([found, path]));
}
