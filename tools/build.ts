import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, extname, join, posix } from 'node:path';
import { root, runStep } from './step.ts';

/**
 * One source file as the published package ships it: types are blanked out (line and column stay, so stack traces fit
 * the source), `#folder/file.ts` and `./file.ts` become relative `.js` paths. `path` is relative to `src/`. Throws on a
 * specifier it does not know how to rewrite, since that would fail only where it is installed.
 */
export function compile(path: string, text: string): string {
  const javascript = stripTypeScriptTypes(text, { mode: 'strip' });
  const rewritten = javascript.replaceAll(
    /(\bfrom\s*|\bimport\s*\(?\s*|\bnew URL\(\s*)(['"])((?:#|\.\.?\/)[^'"\n]+)\.ts\2/g,
    (_, before: string, quote: string, specifier: string) =>
      `${before}${quote}${relative(path, specifier)}.js${quote}`,
  );
  const left = /['"`](?:#|\.\.?\/)[^'"`\n]*\.ts['"`]/.exec(rewritten);
  if (left !== null) throw new Error(`${path}: cannot rewrite the specifier ${left[0]}`);
  return rewritten;
}

function relative(path: string, specifier: string): string {
  if (!specifier.startsWith('#')) return specifier;
  const result = posix.relative(posix.dirname(path), specifier.slice(1));
  return result.startsWith('.') ? result : `./${result}`;
}

/**
 * `npm run build`: `src/` → `dist/` without tests, everything that is not source copied as it is; and the console. Speaks
 * on stderr: npm runs it before `npm pack --json`.
 */
export async function build(): Promise<boolean> {
  const source = join(root, 'src');
  const target = join(root, 'dist');
  rmSync(target, { recursive: true, force: true });
  const files = globSync('**/*', { cwd: source, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.test\.ts$|\.md$/.test(entry.name))
    .map((entry) => posix.relative(source, join(entry.parentPath, entry.name)));
  for (const file of files) {
    const compiled = extname(file) === '.ts';
    const output = join(target, compiled ? file.replace(/\.ts$/, '.js') : file);
    mkdirSync(dirname(output), { recursive: true });
    if (compiled) writeFileSync(output, compile(file, readFileSync(join(source, file), 'utf8')));
    else cpSync(join(source, file), output);
  }
  console.error(`dist: ${files.length} files`);
  const result = await runStep({ name: 'console', command: ['vite', 'build', 'console', '--logLevel=warn'] });
  console.error(result.passed ? 'console/dist: built' : result.output);
  return result.passed;
}
