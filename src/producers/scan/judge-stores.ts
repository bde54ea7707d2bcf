import type { Finding } from '#evidence/predicates.ts';
import { finding } from './finding.ts';

interface StoreFile {
  readonly path: string;
  readonly formats: readonly string[];
}

/**
 * What paths make of embedding stores: a pickle beside a FAISS index of the same name is what `FAISS.save_local` of
 * LangChain writes, and its loader runs that pickle.
 */
export function judgeStores(files: readonly StoreFile[]): readonly Finding[] {
  const indexes = new Set(files.map(({ path }) => path).filter((path) => path.endsWith('.faiss')));
  return files.flatMap(({ path }) => {
    const index = path.replace(/\.pkl$/, '.faiss');
    if (index === path || !indexes.has(index)) return [];
    const message = `LangChain loads this pickle together with \`${index}\``;
    return [finding('STORE-LANGCHAIN-PICKLE', message, { path })];
  });
}

/** An Annoy index has no magic number and nothing that could be checked: only its name says what it is. */
export function unrecognisedStores(files: readonly StoreFile[]): readonly string[] {
  return files
    .filter(({ path, formats }) => /\.(ann|annoy)$/i.test(path) && formats.includes('unknown'))
    .map(({ path }) => `\`${path}\` is named as an Annoy index, whose structure nothing in the file tells`);
}
