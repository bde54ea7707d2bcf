import type { Finding } from '#evidence/predicates.ts';
import { findPathCollisions } from '#lib/path-name.ts';
import { finding } from './finding.ts';

/** Formats that a name promises; a list because a tokenizer's `.model` or a text may be several. */
const promised: readonly (readonly [RegExp, readonly string[]])[] = [
  [/\.safetensors$/i, ['safetensors']],
  [/\.gguf$/i, ['gguf']],
  [/\.(pkl|pickle|pt|pth|ckpt|joblib)$/i, ['pickle', 'pytorch-zip', 'pytorch-legacy', 'zip', 'executable']],
  // Payload of several frameworks, and never words: a text under this name is a pickle of protocol 0 to `torch.load`.
  [
    /\.bin$/i,
    [
      'pickle',
      'pytorch-zip',
      'pytorch-legacy',
      'zip',
      'gguf',
      'safetensors',
      'executable',
      'faiss',
      'hnswlib',
    ],
  ],
  [/\.faiss$/i, ['faiss']],
  [/\.lance$/i, ['lance']],
  [/\.sqlite3?$/i, ['sqlite']],
  // Files of JSON lines are called `.json` too; what steers loading must be JSON by another rule.
  [/\.json$/i, ['json', 'text']],
  [/\.(txt|md|py|jinja|jinja2|j2|yaml|yml|cfg|toml)$/i, ['text', 'json']],
];

/** A name that holds characters which do not show or which turn the direction of the text. */
const deceptive = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

/** Findings about the names of files, and about names whose content is something else. */
export function judgePaths(
  files: readonly { readonly path: string; readonly formats: readonly string[] }[],
): readonly Finding[] {
  const findings: Finding[] = [];
  for (const { paths } of findPathCollisions(files.map(({ path }) => path))) {
    const others = paths
      .slice(1)
      .map((path) => `\`${path}\``)
      .join(', ');
    findings.push(
      finding('PATH-COLLISION', `the name is the same as ${others} on some systems`, {
        path: paths[0] ?? '',
      }),
    );
  }
  for (const { path, formats } of files) {
    if (deceptive.test(path)) {
      findings.push(finding('PATH-DECEPTIVE', 'the name holds characters that do not show', { path }));
    }
    if (formats.includes('lfs-pointer')) {
      findings.push(
        finding('PATH-LFS-POINTER', 'the content is a pointer to a file that is elsewhere', { path }),
      );
      continue;
    }
    const expected = promised.find(([pattern]) => pattern.test(path))?.[1];
    if (
      expected === undefined ||
      formats.length === 0 ||
      formats.includes('empty') ||
      formats.includes('unknown')
    ) {
      continue;
    }
    if (!formats.some((format) => expected.includes(format))) {
      const message = `the name promises ${expected[0]} and the content is ${formats.join(' and ')}`;
      findings.push(finding('PATH-FORMAT-MISMATCH', message, { path }));
    }
  }
  return findings;
}
