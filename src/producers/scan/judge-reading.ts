import type { JsonFlawCode } from '#artifact/formats/json/read-json.ts';
import { isJsonArray, isJsonObject, member, type JsonValue } from '#artifact/formats/json/json-document.ts';
import type { GgufFlawCode } from '#artifact/formats/gguf/gguf-facts.ts';
import type { Flaw } from '#artifact/formats/reading.ts';
import type { SqliteFlawCode } from '#artifact/formats/sqlite/read-sqlite.ts';
import type { StoreFlawCode } from '#artifact/formats/store-reading.ts';
import type { SafetensorsFlawCode } from '#artifact/formats/safetensors/read-safetensors.ts';
import type { Reading } from '#artifact/formats/formats.ts';
import type { Finding } from '#evidence/predicates.ts';
import { finding } from './finding.ts';
import { judgeAnomaly, judgePyTorch } from './pickle/judge-pytorch.ts';
import { judgePickle } from './pickle/judge.ts';
import { judgeTemplate } from './judge-template.ts';
import type { FormatRuleId } from './rules.ts';

type FlawCode = GgufFlawCode | JsonFlawCode | SafetensorsFlawCode | SqliteFlawCode | StoreFlawCode;

/** Which rule a structural flaw breaks. Total: a new flaw without a rule is a type error. */
export const ruleOfFlaw: Readonly<Record<FlawCode, FormatRuleId>> = {
  'gguf.alignment': 'GGUF-ALIGNMENT',
  'gguf.count': 'GGUF-COUNT',
  'gguf.duplicate-key': 'GGUF-DUPLICATE-KEY',
  'gguf.duplicate-tensor': 'GGUF-DUPLICATE-TENSOR',
  'gguf.gap': 'GGUF-GAP',
  'gguf.key-invalid': 'GGUF-KEY-INVALID',
  'gguf.overlap': 'GGUF-OVERLAP',
  'gguf.padding': 'GGUF-PADDING',
  'gguf.tensor-invalid': 'GGUF-TENSOR-INVALID',
  'gguf.trailing': 'GGUF-TRAILING',
  'gguf.truncated': 'GGUF-TRUNCATED',
  'gguf.value-invalid': 'GGUF-VALUE-INVALID',
  'gguf.version': 'GGUF-VERSION',
  'json.duplicate-key': 'JSON-DUPLICATE-KEY',
  'json.lone-surrogate': 'JSON-LONE-SURROGATE',
  'json.not-a-number': 'JSON-NOT-A-NUMBER',
  'safetensors.duplicate-key': 'STF-DUPLICATE-KEY',
  'safetensors.gap': 'STF-GAP',
  'safetensors.header-length': 'STF-HEADER-LENGTH',
  'safetensors.header-syntax': 'STF-HEADER-SYNTAX',
  'safetensors.metadata-invalid': 'STF-METADATA-INVALID',
  'safetensors.overlap': 'STF-OVERLAP',
  'safetensors.size-mismatch': 'STF-SIZE-MISMATCH',
  'safetensors.tensor-invalid': 'STF-TENSOR-INVALID',
  'safetensors.trailing': 'STF-TRAILING',
  'safetensors.truncated': 'STF-TRUNCATED',
  'sqlite.extension': 'SQL-EXTENSION',
  'sqlite.header': 'SQL-HEADER',
  'sqlite.schema': 'SQL-SCHEMA',
  'sqlite.size': 'SQL-SIZE',
  'sqlite.trigger': 'SQL-TRIGGER',
  'store.count': 'VEC-COUNT',
  'store.elsewhere': 'VEC-ELSEWHERE',
  'store.structure': 'VEC-STRUCTURE',
  'store.trailing': 'VEC-TRAILING',
  'store.truncated': 'VEC-TRUNCATED',
};

/** What is wrong with one reading of a blob, whatever its name. */
export function judgeReading(reading: Reading): readonly Finding[] {
  switch (reading.format) {
    case 'gguf':
      return [
        ...judgeFlaws(reading.facts.flaws),
        ...reading.facts.chatTemplates.flatMap(({ key, text }) => judgeTemplate(text, key)),
      ];
    case 'faiss':
    case 'hnswlib':
    case 'lance':
    case 'safetensors':
    case 'sqlite':
      return judgeFlaws(reading.facts.flaws);
    case 'json':
      return [...judgeFlaws(reading.facts.flaws), ...judgeTemplates(reading.facts.value)];
    case 'executable':
      return [finding('EXE-NATIVE', `the file is ${reading.facts.kind} code`, { offset: 0 })];
    case 'pickle':
      return judgePickle(reading.facts.pickle);
    case 'pytorch-legacy':
    case 'pytorch-zip':
      return judgePyTorch(reading.facts.pytorch);
    case 'zip':
      return reading.facts.anomalies.map(judgeAnomaly);
    case 'empty':
    case 'lfs-pointer':
    case 'text':
      return [];
  }
}

function judgeFlaws(flaws: readonly Flaw<FlawCode>[]): readonly Finding[] {
  return flaws.map(({ code, message, offset, pointer }) =>
    finding(ruleOfFlaw[code], message, {
      ...(offset === undefined ? {} : { offset }),
      ...(pointer === undefined ? {} : { pointer: pointer.toWellFormed() }),
    }),
  );
}

/** Chat templates anywhere in a JSON document: a text, or a list of named texts, under `chat_template`. */
function judgeTemplates(root: JsonValue | undefined): readonly Finding[] {
  const findings: Finding[] = [];
  const stack: { readonly value: JsonValue | undefined; readonly pointer: string }[] = [
    { value: root, pointer: '' },
  ];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { value, pointer } = next;
    if (isJsonArray(value)) {
      for (const [index, item] of value.entries()) {
        if (typeof item === 'object') stack.push({ value: item, pointer: `${pointer}/${index}` });
      }
    } else if (isJsonObject(value)) {
      for (const [key, item] of value) {
        const at = `${pointer}/${key.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}`;
        if (key === 'chat_template') findings.push(...judgeNamed(item, at));
        if (typeof item === 'object') stack.push({ value: item, pointer: at });
      }
    }
  }
  return findings;
}

function judgeNamed(value: JsonValue, pointer: string): readonly Finding[] {
  if (typeof value === 'string') return judgeTemplate(value, pointer);
  const named = isJsonArray(value)
    ? value.map((item) => member(item, 'template'))
    : isJsonObject(value)
      ? [...value.values()]
      : [];
  return named.flatMap((text, index) =>
    typeof text === 'string' ? judgeTemplate(text, `${pointer}/${index}`) : [],
  );
}
