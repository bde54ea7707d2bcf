import { posix } from 'node:path';

/** A source tree as text: path relative to `src/` → content. Tests plant violations by adding files. */
export type SourceTree = ReadonlyMap<string, string>;

export interface Import {
  readonly from: string;
  /** A path in the tree, or the name of a package or `node:` module. */
  readonly to: string;
  readonly external: boolean;
  readonly typeOnly: boolean;
}

/** Which top folders a folder may import (DESIGN §2). `producers`, `gates` and `adapters` hold one folder per feature. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  artifact: ['lib'],
  evidence: ['artifact', 'lib'],
  producers: ['evidence', 'artifact', 'lib'],
  policy: ['evidence', 'artifact', 'lib'],
  gates: ['policy', 'evidence', 'artifact', 'lib'],
  adapters: ['policy', 'evidence', 'artifact', 'lib'],
  app: ['adapters', 'gates', 'policy', 'producers', 'evidence', 'artifact', 'lib'],
};
/** A port is declared beside its consumer, and the adapter that implements it has to see it: that one file and no other. */
const isPortOfProducer = ({ from, to }: Import): boolean =>
  from.startsWith('adapters/') && /^producers\/[^/]+\/[a-z-]+-port\.ts$/.test(to);
const featureFolders = ['producers', 'gates', 'adapters'];
/** Where a library is allowed, when not everywhere. */
const libraryHomes: Readonly<Record<string, readonly string[]>> = {
  pg: ['adapters/postgres'],
  '@bufbuild/cel': ['policy'],
  fastify: ['gates', 'app'],
  '@fastify/static': ['app'],
  '@fastify/swagger': ['app'],
  'prom-client': ['app'],
};
/** All that code which decides may reach in Node, directly or through what it imports: no I/O, clock or threads. */
const pureModules = new Set(['node:crypto', 'node:util', 'node:buffer', 'node:assert', 'node:assert/strict']);
const impure =
  /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bperformance\.now\(|\bfetch\(|\brandom(?:UUID|Bytes|Int)\(|\bprocess\.(?:env|hrtime|cwd)/;
const bannedWord =
  /(?:^|[a-z0-9])(?:Manager|Service|Helpers?|Utils?|Common)(?:$|[A-Z0-9])|^(?:handle|process)[A-Z]/;
const bannedFile = /(?:^|-)(?:manager|service|helpers?|utils?|common|misc)(?:-|\.|$)/;

const isTest = (path: string): boolean => path.endsWith('.test.ts');
const topFolder = (path: string): string => path.split('/')[0] ?? '';
/** `producers/scan/pickle/rules.ts` → `producers/scan`; `producers/producers.ts` → `producers`; `lib/tar.ts` → `lib`. */
function feature(path: string): string {
  const parts = path.split('/');
  return featureFolders.includes(topFolder(path)) && parts.length > 2
    ? parts.slice(0, 2).join('/')
    : topFolder(path);
}

/** Every import of one file: static, dynamic, re-export, and worker or asset by URL. Type imports count. */
export function importsOf(path: string, text: string): readonly Import[] {
  const patterns: readonly RegExp[] = [
    /^[ \t]*import\b([\w\s{},*$]*?)\bfrom\s*['"]([^'"]+)['"]/gm,
    /^[ \t]*export\s+((?:type\s+)?(?:\*(?:\s+as\s+\w+)?|\{[^}]*\}))\s*from\s*['"]([^'"]+)['"]/gm,
    /^[ \t]*import()\s*['"]([^'"]+)['"]/gm,
    /(?<![.\w])import()\(\s*['"]([^'"]+)['"]\s*[,)]/g,
    /\bnew URL\(()['"](\.[^'"]+\.ts)['"]\s*,\s*import\.meta\.url/g,
  ];
  return patterns.flatMap((pattern) =>
    [...text.matchAll(pattern)].map((match) => {
      const clause = match[1] ?? '';
      const to = match[2] ?? '';
      const external = !to.startsWith('.') && !to.startsWith('#');
      const resolved = to.startsWith('#') ? to.slice(1) : posix.join(posix.dirname(path), to);
      return { from: path, to: external ? to : resolved, external, typeOnly: /^\s*type\b/.test(clause) };
    }),
  );
}

/** The name of the package that a specifier belongs to; `node:` modules stay whole. */
export function packageOf(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier;
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** All that is wrong with the tree, one line each. `packages` are the runtime dependencies. */
export function violations(tree: SourceTree, packages: ReadonlySet<string>): readonly string[] {
  const sources = [...tree].filter(([path]) => path.endsWith('.ts') && !isTest(path));
  const imports = sources.flatMap(([path, text]) => importsOf(path, text));
  return [
    ...sources.flatMap(([path, text]) => shape(path, text)),
    ...imports.flatMap((edge) => (edge.external ? external(edge, packages) : internal(edge, tree))),
    ...cycles(imports),
    ...bothWays(imports),
    ...purity(sources, imports),
    ...tables(sources, imports),
  ];
}

/** A barrel re-exports everything of another file, or exports nothing of its own. */
function isBarrel(text: string): boolean {
  if (/^export\s+(?:type\s+)?\*/m.test(text)) return true;
  const reexports = /^export\s+(?:type\s+)?\{[^}]*\}\s*from\b/m.test(text);
  return reexports && !/^export\s+(?!type\s*\{)[a-z]/m.test(text);
}

function shape(path: string, text: string): readonly string[] {
  const found: string[] = [];
  if (!path.includes('/')) found.push(`${path}: a source file belongs to a folder`);
  else if (mayImport[topFolder(path)] === undefined)
    found.push(`${path}: unknown folder \`${topFolder(path)}\``);
  const lines = text.split('\n').length - 1;
  if (lines > 500) found.push(`${path}: ${lines} lines, more than 500`);
  if (bannedFile.test(posix.basename(path)) || /[A-Z_]/.test(path)) found.push(`${path}: banned file name`);
  const names = text.matchAll(
    /^export (?:declare )?(?:abstract )?(?:async )?(?:const|let|function\*?|class|interface|type)\s+(\w+)/gm,
  );
  for (const [, name = ''] of names) {
    if (bannedWord.test(name)) found.push(`${path}: banned name \`${name}\``);
  }
  if (isBarrel(text)) found.push(`${path}: only re-exports (no barrels)`);
  if (/^export default\b/m.test(text)) found.push(`${path}: default export`);
  return found;
}

function external(edge: Import, packages: ReadonlySet<string>): readonly string[] {
  const name = packageOf(edge.to);
  if (name.startsWith('node:')) return [];
  if (!packages.has(name)) return [`${edge.from}: \`${name}\` is not a runtime dependency`];
  const homes = libraryHomes[name];
  const allowed = homes === undefined || homes.some((home) => edge.from.startsWith(`${home}/`));
  return allowed ? [] : [`${edge.from}: \`${name}\` belongs to ${homes.join(', ')}`];
}

function internal(edge: Import, tree: SourceTree): readonly string[] {
  const missing = tree.has(edge.to) ? [] : [`${edge.from}: imports \`${edge.to}\`, which is not there`];
  if (isTest(edge.to)) return [`${edge.from}: imports the test \`${edge.to}\``];
  const [from, to] = [topFolder(edge.from), topFolder(edge.to)];
  if (from !== to) {
    const allowed = (mayImport[from]?.includes(to) ?? true) || isPortOfProducer(edge);
    return allowed ? missing : [...missing, `${edge.from}: \`${from}\` may not import \`${edge.to}\``];
  }
  // Within producers, gates and adapters: the table sees all features, a feature sees itself and the shared port.
  const crosses = feature(edge.from) !== feature(edge.to);
  const isTable = edge.from === `${from}/${from}.ts`;
  const seesPort = feature(edge.to) === to && edge.to !== `${to}/${to}.ts`;
  if (crosses && !isTable && !seesPort) return [...missing, `${edge.from}: may not import \`${edge.to}\``];
  return missing;
}

/** Cycles between files, by depth-first search; each is told once, from its first file. */
function cycles(imports: readonly Import[]): readonly string[] {
  const next = Map.groupBy(
    imports.filter((edge) => !edge.external),
    (edge) => edge.from,
  );
  const state = new Map<string, 'open' | 'done'>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === 'done') return;
    if (state.get(path) === 'open') {
      found.push(`cycle: ${[...trail.slice(trail.indexOf(path)), path].join(' → ')}`);
      return;
    }
    state.set(path, 'open');
    for (const edge of next.get(path) ?? []) visit(edge.to, [...trail, path]);
    state.set(path, 'done');
  };
  for (const path of next.keys()) visit(path, []);
  return found;
}

/** Pairs of folders that import each other; a folder and one inside it are one place, whose files still form no cycle. */
function bothWays(imports: readonly Import[]): readonly string[] {
  const pairs = new Set<string>();
  for (const { from, to, external } of imports) {
    const [a, b] = [posix.dirname(from), posix.dirname(to)];
    if (!external && a !== b && !a.startsWith(`${b}/`) && !b.startsWith(`${a}/`)) pairs.add(`${a} ${b}`);
  }
  return [...pairs]
    .map((pair) => pair.split(' '))
    .filter(([a = '', b = '']) => a < b && pairs.has(`${b} ${a}`))
    .map(([a, b]) => `folders \`${a}\` and \`${b}\` import each other`);
}

/** Policy is pure: neither it nor anything it runs reaches I/O, the clock or randomness. */
function purity(
  sources: readonly (readonly [string, string])[],
  imports: readonly Import[],
): readonly string[] {
  const running = Map.groupBy(
    imports.filter((edge) => !edge.typeOnly),
    (edge) => edge.from,
  );
  const reached = new Set(sources.map(([path]) => path).filter((path) => topFolder(path) === 'policy'));
  const found: string[] = [];
  for (const path of reached) {
    for (const edge of running.get(path) ?? []) {
      if (!edge.external) reached.add(edge.to);
      else if (edge.to.startsWith('node:') && !pureModules.has(edge.to)) {
        found.push(`${path}: policy would reach \`${edge.to}\``);
      }
    }
  }
  const texts = sources.filter(([path]) => topFolder(path) === 'policy');
  return [
    ...found,
    ...texts.filter(([, text]) => impure.test(text)).map(([path]) => `${path}: policy is not pure`),
  ];
}

/** A feature is one folder and one row: `producers.ts` and `gates.ts` import each feature folder and nothing is left out. */
function tables(
  sources: readonly (readonly [string, string])[],
  imports: readonly Import[],
): readonly string[] {
  return ['producers', 'gates'].flatMap((name) => {
    const table = `${name}/${name}.ts`;
    if (!sources.some(([path]) => path === table)) return [`${table}: the table is missing`];
    const folders = new Set(
      sources.map(([path]) => feature(path)).filter((path) => path.startsWith(`${name}/`)),
    );
    const rows = new Set(imports.filter((edge) => edge.from === table).map((edge) => feature(edge.to)));
    return [...folders]
      .filter((folder) => !rows.has(folder))
      .map((folder) => `${folder}: has no row in ${table}`);
  });
}
