import type { Severity } from '#evidence/predicates.ts';

/** What a finding of this rule means, always the same words. */
export interface Rule {
  readonly severity: Severity;
  /** Of a blob wherever it appears, or of what a path in an artifact makes of it. */
  readonly scope: 'blob' | 'artifact';
  /** What it is and why it matters; one sentence. */
  readonly title: string;
  /** What the reader can do; one sentence, lower case. */
  readonly remedy: string;
}

const remedies = {
  rewrite: 'load the tensors with the reference library in a sandbox and save them again',
  source: 'ask the publisher for an intact file and compare its SHA-256',
  code: 'read the code, pin it by commit and approve it by name, or use a model that needs none',
  config: 'remove the key, or review what it loads and approve it by name',
  template: 'replace the chat template by the one of the base model',
  rename: 'rename or remove one of the files',
  json: 'write the file again with one value per key',
  store:
    'build the index again from the documents, and read it without a loader that runs pickles or opens other files',
} as const;

function rule(scope: Rule['scope'], severity: Severity, title: string, remedy: keyof typeof remedies): Rule {
  return { severity, scope, title, remedy: remedies[remedy] };
}

/**
 * Every rule of this scanner apart from those of the pickle machine (`pickle/`). The key is the id: it stands in
 * signed history, so it never changes its meaning and is never used again. Severity decides the verdict: critical
 * is malicious, high and medium are suspicious, low stays clean. Keep it sorted.
 */
export const formatRules = {
  'CFG-ATTENTION-KERNEL': rule(
    'artifact',
    'critical',
    'the attention implementation names a repository, whose code is loaded without being asked for',
    'config',
  ),
  'CFG-ATTENTION-UNKNOWN': rule(
    'artifact',
    'medium',
    'a private attention setting has a value that no released library writes',
    'config',
  ),
  'CFG-AUTO-MAP': rule(
    'artifact',
    'high',
    'the configuration maps a class to Python code that comes with the model',
    'config',
  ),
  'CFG-AUTO-MAP-REMOTE': rule(
    'artifact',
    'high',
    'the configuration maps a class to Python code of another repository, which can change at any time',
    'config',
  ),
  'CFG-BASE-ABSOLUTE': rule(
    'artifact',
    'low',
    'the adapter names its base model by a path of the machine it was trained on',
    'config',
  ),
  'CFG-BASE-TRAVERSAL': rule(
    'artifact',
    'high',
    'the adapter names its base model by a path that climbs out of its folder or by a URL',
    'config',
  ),
  'CFG-CUSTOM-PIPELINE': rule(
    'artifact',
    'high',
    'the configuration names a pipeline class implemented by code that comes with the model',
    'config',
  ),
  'CFG-IMPORT': rule(
    'artifact',
    'high',
    'the configuration names a Python module or callable that the loader imports',
    'config',
  ),
  'CFG-TRUST-REMOTE-CODE': rule(
    'artifact',
    'high',
    'the configuration switches on `trust_remote_code` for whatever it loads',
    'config',
  ),
  'CFG-UNREADABLE': rule(
    'artifact',
    'medium',
    'a file that steers loading is not the JSON its name promises, so loaders may read it in another way',
    'json',
  ),
  'CFG-YAML-TAG': rule(
    'artifact',
    'high',
    'a YAML file has a tag that makes some loaders construct Python objects',
    'config',
  ),
  'CODE-FILE': rule(
    'artifact',
    'low',
    'the artifact carries program code that nothing in it refers to',
    'code',
  ),
  'CODE-REFERENCED': rule(
    'artifact',
    'high',
    'the artifact carries program code that its configuration refers to',
    'code',
  ),
  'EXE-NATIVE': rule('blob', 'high', 'the file is native program code, which no model needs', 'code'),
  'FMT-POLYGLOT': rule(
    'blob',
    'high',
    'the bytes are valid in several formats, so loaders disagree about what the file is',
    'rewrite',
  ),
  'GGUF-ALIGNMENT': rule(
    'blob',
    'medium',
    'a tensor or the alignment setting breaks the alignment rule',
    'rewrite',
  ),
  'GGUF-COUNT': rule(
    'blob',
    'high',
    'a count or length is larger than the file, which overflows careless readers',
    'source',
  ),
  'GGUF-DUPLICATE-KEY': rule(
    'blob',
    'high',
    'a key stands twice, so readers disagree about its value',
    'rewrite',
  ),
  'GGUF-DUPLICATE-TENSOR': rule(
    'blob',
    'high',
    'a tensor name stands twice, so readers disagree about its data',
    'rewrite',
  ),
  'GGUF-GAP': rule(
    'blob',
    'high',
    'bytes between the tensors belong to nothing and can hide a payload',
    'rewrite',
  ),
  'GGUF-KEY-INVALID': rule('blob', 'medium', 'a key is empty or not plain ASCII', 'rewrite'),
  'GGUF-OVERLAP': rule('blob', 'high', 'tensors share bytes', 'rewrite'),
  'GGUF-PADDING': rule('blob', 'medium', 'padding that must be zero holds other bytes', 'rewrite'),
  'GGUF-TENSOR-INVALID': rule(
    'blob',
    'high',
    'a tensor has an impossible type, shape or number of dimensions',
    'source',
  ),
  'GGUF-TRAILING': rule(
    'blob',
    'high',
    'bytes after the last tensor belong to nothing and can hide a payload',
    'rewrite',
  ),
  'GGUF-TRUNCATED': rule('blob', 'medium', 'the file ends before its header or its tensors do', 'source'),
  'GGUF-VALUE-INVALID': rule(
    'blob',
    'medium',
    'a value has an unknown type, an impossible length or too deep nesting',
    'source',
  ),
  'GGUF-VERSION': rule('blob', 'medium', 'the version of the format is unknown', 'source'),
  'JSON-DUPLICATE-KEY': rule(
    'blob',
    'medium',
    'a key stands twice in one object, so readers disagree about its value',
    'json',
  ),
  'JSON-LONE-SURROGATE': rule('blob', 'low', 'a text is not well-formed Unicode', 'json'),
  'JSON-NOT-A-NUMBER': rule(
    'blob',
    'low',
    'a number is NaN or Infinity, which only some readers accept',
    'json',
  ),
  'PATH-COLLISION': rule(
    'artifact',
    'high',
    'names differ only in letter case or Unicode form, so one hides the other on some systems',
    'rename',
  ),
  'PATH-DECEPTIVE': rule(
    'artifact',
    'high',
    'a name holds invisible or direction-changing characters',
    'rename',
  ),
  'PATH-FORMAT-MISMATCH': rule(
    'artifact',
    'high',
    'the content is of another format than the name promises',
    'rename',
  ),
  'PATH-LFS-POINTER': rule(
    'artifact',
    'low',
    'the file is a Git LFS pointer, not the content it stands for',
    'source',
  ),
  'SHARD-DOCUMENTATION': rule(
    'artifact',
    'high',
    'a shard index reads weights from a file that is named like documentation, which is let through unread',
    'rename',
  ),
  'SHARD-INVALID': rule(
    'artifact',
    'medium',
    'a shard index is not of the shape that loaders expect',
    'json',
  ),
  'SHARD-MISSING': rule(
    'artifact',
    'low',
    'a shard index names a file that the artifact does not have',
    'source',
  ),
  'SHARD-OUTSIDE': rule('artifact', 'high', 'a shard index names a file outside the artifact', 'json'),
  'SQL-EXTENSION': rule(
    'blob',
    'high',
    'the schema of a database calls a function that loads code or touches files',
    'source',
  ),
  'SQL-HEADER': rule('blob', 'medium', 'the header of a database is not one that SQLite writes', 'source'),
  'SQL-SCHEMA': rule(
    'blob',
    'medium',
    'the schema of a database is malformed, which has broken readers before',
    'source',
  ),
  'SQL-SIZE': rule(
    'blob',
    'high',
    'the pages of a database are not the whole file, so bytes are missing or belong to nothing',
    'source',
  ),
  'SQL-TRIGGER': rule('blob', 'low', 'a database has triggers, which run when rows are written', 'source'),
  'STF-DUPLICATE-KEY': rule(
    'blob',
    'high',
    'a tensor or key stands twice in the header, so readers disagree about it',
    'rewrite',
  ),
  'STF-GAP': rule(
    'blob',
    'high',
    'bytes between the tensors belong to nothing and can hide a payload',
    'rewrite',
  ),
  'STF-HEADER-LENGTH': rule(
    'blob',
    'high',
    'the header length is larger than the file or than readers allow',
    'source',
  ),
  'STF-HEADER-SYNTAX': rule(
    'blob',
    'medium',
    'the header is not the strict JSON object that the format asks for',
    'source',
  ),
  'STF-METADATA-INVALID': rule('blob', 'medium', 'the metadata is not a map from text to text', 'rewrite'),
  'STF-OVERLAP': rule('blob', 'high', 'tensors share bytes', 'rewrite'),
  'STF-SIZE-MISMATCH': rule(
    'blob',
    'high',
    'the shape and type of a tensor do not give the bytes it claims',
    'source',
  ),
  'STF-TENSOR-INVALID': rule(
    'blob',
    'high',
    'a tensor entry has an unknown type, key, shape or place',
    'source',
  ),
  'STF-TRAILING': rule(
    'blob',
    'high',
    'bytes after the last tensor belong to nothing and can hide a payload',
    'rewrite',
  ),
  'STF-TRUNCATED': rule('blob', 'medium', 'the file ends before its tensors do', 'source'),
  'STORE-LANGCHAIN-PICKLE': rule(
    'artifact',
    'high',
    'a LangChain vector store keeps its documents in a pickle, which loads only with `allow_dangerous_deserialization`',
    'store',
  ),
  'TPL-ATTRIBUTE': rule(
    'blob',
    'critical',
    'a chat template reaches for Python internals, which escapes an unsandboxed template engine',
    'template',
  ),
  'TPL-COMPUTED-ATTRIBUTE': rule(
    'blob',
    'high',
    'a chat template computes the name of an attribute or key, which hides what it reaches for',
    'template',
  ),
  'TPL-INCLUDE': rule('blob', 'high', 'a chat template loads other templates from files', 'template'),
  'TPL-PRIVATE-ATTRIBUTE': rule('blob', 'medium', 'a chat template uses a private attribute', 'template'),
  'TPL-UNREADABLE': rule('blob', 'medium', 'a chat template cannot be read to its end', 'template'),
  'VEC-COUNT': rule(
    'blob',
    'high',
    'a count in an embedding index is not that of what it counts, so readers may go beyond it',
    'source',
  ),
  'VEC-ELSEWHERE': rule(
    'blob',
    'high',
    'an embedding index makes its reader open another file by a path that stands in it',
    'store',
  ),
  'VEC-STRUCTURE': rule('blob', 'medium', 'the parts of an embedding index do not fit together', 'source'),
  'VEC-TRAILING': rule(
    'blob',
    'high',
    'bytes after an embedding index belong to nothing and can hide a payload',
    'source',
  ),
  'VEC-TRUNCATED': rule('blob', 'medium', 'the file ends before its embedding index does', 'source'),
} as const satisfies Record<string, Rule>;

export type FormatRuleId = keyof typeof formatRules;
