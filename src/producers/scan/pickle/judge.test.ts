import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memorySource, readPickle } from '#artifact/formats/pickle/read-pickle.ts';
import type { Finding } from '#evidence/predicates.ts';
import { limits } from '#lib/limits.ts';
import { called, frame, named, pickle, proto, raw, text } from '../../../../test/support/pickle-assembler.ts';
import { judgePickle, type PickleContext } from './judge.ts';
import { reviewed } from './reviewed.ts';
import { type PickleRuleId, pickleRules } from './rules.ts';

async function judged(bytes: Uint8Array, context: PickleContext = {}): Promise<readonly Finding[]> {
  return judgePickle(await readPickle(memorySource(bytes)), context);
}

async function rulesOf(bytes: Uint8Array, context: PickleContext = {}): Promise<readonly string[]> {
  return [...new Set((await judged(bytes, context)).map(({ ruleId }) => ruleId))];
}

const ordered = named('collections', 'OrderedDict');
const encode = named('_codecs', 'encode');
const rebuild = named('torch._utils', '_rebuild_tensor_v2');

const dtype = (code: string, flags: number, more = 'NNN'): string =>
  `${called(named('numpy', 'dtype'), text(code), '\x89', '\x88')}(K\x03${text('|')}${more}K\x08K\x01K${String.fromCharCode(flags)}tb`;
const objectType = (flags: number): string => dtype('O8', flags);
const struct = (flags: number, field: string, offset = 0): string =>
  dtype('V8', flags, `N${text('a')}\x85}${text('a')}${field}K${String.fromCharCode(offset)}\x86s`);
/** An array of one element: what `numpy.ndarray.__reduce__` writes, with this dtype and this content. */
const array = (type: string, content: string): Uint8Array =>
  pickle(
    `${called(named('numpy.core.multiarray', '_reconstruct'), named('numpy', 'ndarray'), 'K\x00\x85', 'C\x01b')}(K\x01K\x01\x85${type}\x89${content}tb`,
  );

interface Case {
  readonly bad: Uint8Array;
  readonly good: Uint8Array;
  readonly goodContext?: PickleContext;
}

/** For each rule a pickle that breaks it and the nearest one that does not. */
const cases: Readonly<Record<PickleRuleId, Case>> = {
  'PKL-CALL-ARGUMENTS': {
    bad: pickle(called(encode, text('x'), text('rot13'))),
    good: pickle(called(encode, text('x'), text('latin1'))),
  },
  'PKL-CALL-COMPUTED': { bad: pickle(`${called(ordered)})R`), good: pickle(called(ordered)) },
  'PKL-CALL-DENIED': {
    bad: pickle(called(named('timeit', 'timeit'), text('1'))),
    good: pickle(called(named('builtins', 'set'), ']')),
  },
  'PKL-CALL-UNREVIEWED': { bad: pickle(called(named('library', 'Thing'))), good: pickle(called(ordered)) },
  'PKL-DIVERGENCE': {
    bad: pickle(`${frame(5)}K\x01C\x03abc`),
    good: raw(`${proto(4)}${frame(8)}K\x01C\x03abc.`),
  },
  'PKL-EXPANSION': { bad: pickle(`N\x85${'2\x86'.repeat(60)}`), good: pickle(`N\x85${'2\x86'.repeat(6)}`) },
  'PKL-EXTENSION': { bad: pickle('\x82\x01'), good: pickle('K\x01') },
  'PKL-FUNCTION-AS-DATA': {
    bad: pickle(`]${rebuild}a`),
    good: pickle(`]${named('torch', 'float16')}a`),
  },
  'PKL-IMPORT-DENIED': { bad: pickle(named('os', 'system')), good: pickle(named('torch', 'float16')) },
  'PKL-IMPORT-UNREVIEWED': { bad: pickle(named('library', 'Thing')), good: pickle(ordered) },
  'PKL-MUTATION': { bad: pickle(`${ordered}}b`), good: pickle(`${called(ordered)}}b`) },
  'PKL-NAME-COMPUTED': {
    bad: pickle(`${called(encode, text('os'), text('latin1'))}${text('system')}\x93`),
    good: pickle(
      `${text('collections')}\x94${text('OrderedDict')}\x942000h\x00h\x01\x93`.replace('2000', '00'),
    ),
  },
  'PKL-NAME-DOTTED': {
    bad: pickle(named('collections', 'OrderedDict.__init__.__globals__')),
    good: pickle(ordered),
  },
  'PKL-NUMPY-MEMORY': { bad: array(objectType(63), 'C\x08AAAAAAAA'), good: array(objectType(63), ']Na') },
  'PKL-PERSISTENT': {
    bad: pickle('Pid\n'),
    good: pickle('Pid\n'),
    goodContext: { persistentIdsKnown: true },
  },
  'PKL-STATE-DENIED': {
    bad: pickle(`${called(named('torch', 'Size'), ')')}}b`),
    good: pickle(`${called(ordered)}}b`),
  },
  'PKL-STATE-SPECIAL': {
    bad: pickle(`${called(ordered)}}${text('__class__')}Nsb`),
    good: pickle(`${called(ordered)}}${text('_metadata')}Nsb`),
  },
  'PKL-TRAILING': { bad: raw('N.junk junk'), good: raw('N.\0\0\0\0') },
  'PKL-TRUNCATED': { bad: raw(`${proto(4)}]`), good: pickle(']') },
};

for (const [rule, { bad, good, goodContext }] of Object.entries(cases)) {
  test(`${rule} is broken by its bad sample and not by its good one`, async () => {
    assert.ok((await rulesOf(bad)).includes(rule), `bad: ${(await rulesOf(bad)).join()}`);
    assert.deepEqual(await rulesOf(good, goodContext), []);
  });
}

test('every rule has both samples, a reason and a remedy', () => {
  assert.deepEqual(Object.keys(cases).sort(), Object.keys(pickleRules).sort());
  for (const { why, remedy } of Object.values(pickleRules)) assert.ok(why.length > 20 && remedy.length > 20);
  for (const [name, { reason }] of reviewed) assert.ok(reason.length > 10, name);
});

test('a finding says what would happen, where and what to do', async () => {
  const [finding] = await judged(raw('cposix\nsystem\n(S"touch /tmp/x"\ntR.'), { member: 'a/data.pkl' });
  assert.deepEqual(finding, {
    ruleId: 'PKL-CALL-DENIED',
    severity: 'critical',
    message: 'would call `posix.system("touch /tmp/x")`',
    location: { member: 'a/data.pkl', offset: 32, opcode: 4 },
    remedy: pickleRules['PKL-CALL-DENIED'].remedy,
  });
});

const attacks: Readonly<Record<string, Uint8Array>> = {
  'the call is popped': pickle(`(${named('os', 'system')}${text('id')}o0N`),
  'BUILD trails the call': pickle(`${called(named('os', 'system'), text('id'))}}b`),
  'builtins directly': pickle(called(named('builtins', 'eval'), text('1'))),
  'a Python-2 name': raw('c__builtin__\napply\n(tR.'),
  'a Python-2 name that moved': raw('ccommands\ngetoutput\n(S"id"\ntR.'),
  'instance opcode': raw('(S"id"\nios\nsystem\n.'),
  'new object opcode': pickle(`${named('subprocess', 'Popen')}${text('id')}\x85\x81`),
  'the same name safe first': pickle(`${called(ordered)}0${called(named('os', 'popen'), text('id'))}`),
  'a sparse memo': pickle(
    `${text('os')}r\xff\xff\xff\x7f0${text('system')}\x940j\xff\xff\xff\x7fh\x01\x93${text('id')}\x85R`,
  ),
  'an escaped name': raw("\x80\x04S'o\\x73'\nS'\\163ystem'\n\x93S'id'\n\x85R."),
  'an escaped unicode name': raw('\x80\x04Vo\\u0073\nVsystem\n\x93Vid\n\x85R.'),
  'a second pickle': raw('N.cos\nsystem\n(S"id"\ntR.'),
  'a pickle after a gap': raw(`N.${'\0'.repeat(5000)}\x80\x04cos\nsystem\n(S"id"\ntR.`),
  'a broken end': raw('cos\nsystem\n(S"id"\ntR\xff'),
  'no end': raw('cos\nsystem\n(S"id"\ntR'),
  'a pickle in bytes': pickle(`C\x17cos\nsystem\n(S"echo"\ntR.`),
  'a pickle in base64': pickle(text(Buffer.from('cos\nsystem\n(S"id"\ntR.').toString('base64'))),
  'a pickle in hex': pickle(text(Buffer.from('cos\nsystem\n(S"id"\ntR.').toString('hex'))),
  'a pickle in text of protocol 2': raw(`\x80\x02X\x17\0\0\0\xc2\x80\x02cos\nsystem\n(S"id"\ntR..`),
  'a carrier of a call': pickle(
    called(
      named('torch._tensor', '_rebuild_from_type_v2'),
      named('os', 'system'),
      'N',
      `${text('id')}\x85`,
      'N',
    ),
  ),
  'a frame that hides the call': raw(
    `${proto(4)}${frame(4)}C\x20abcdefgh${called(named('os', 'system'), text('id'))}.`,
  ),
  'state in an argument': pickle(
    called(
      named('torch._utils', '_rebuild_parameter_with_state'),
      'N',
      '\x88',
      '}',
      `}${text('__class__')}Ns`,
    ),
  ),
  'state that is called later': pickle(
    `${called(ordered)}}${text('__setstate__')}${named('os', 'system')}sb${text('id')}b`,
  ),
};

for (const [name, bytes] of Object.entries(attacks)) {
  test(`malicious: ${name}`, async () => {
    const severities = (await judged(bytes)).map(({ severity }) => severity);
    assert.ok(severities.includes('critical'), severities.join());
  });
}

test('numpy never takes bytes of the file for pointers, nor reads beyond the element', async () => {
  const bytes = 'C\x08AAAAAAAA';
  const hostile: Readonly<Record<string, Uint8Array>> = {
    'a structure that hides its objects': array(struct(0x10, objectType(63)), bytes),
    'a structure that says that it holds objects': array(struct(0x1b, objectType(63)), bytes),
    'a plain type that says that it holds objects': array(dtype('i8', 1), ']Na'),
    'an object type that says that it holds none': array(objectType(0), bytes),
    'bytes spelled by a codec': array(objectType(63), called(encode, text('AAAAAAAA'), text('latin1'))),
    'a field beyond the element': array(struct(0, dtype('i8', 0), 64), bytes),
    'a subarray beyond the element': array(dtype('V8', 0, `${dtype('i8', 0)}K\x40\x85\x86NN`), bytes),
    'a second state of a dtype': array(`${dtype('i8', 0)}(K\x03tb`, bytes),
    'a scalar of objects from bytes': pickle(
      called(named('numpy.core.multiarray', 'scalar'), objectType(63), bytes),
    ),
  };
  for (const [name, sample] of Object.entries(hostile)) {
    assert.ok((await rulesOf(sample)).includes('PKL-NUMPY-MEMORY'), name);
  }
  assert.deepEqual(await rulesOf(array(struct(0, dtype('i8', 0)), bytes)), []);
  assert.deepEqual(await rulesOf(array(struct(0x1b, objectType(63)), ']K\x01\x85a')), []);
});

test('the bytes that `_load_from_bytes` loads were read to their end, or the call is one nobody knows', async () => {
  const load = (inner: string): Uint8Array => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(inner.length);
    return pickle(
      called(named('torch.storage', '_load_from_bytes'), `B${length.toString('latin1')}${inner}`),
    );
  };
  const line = `V${'a'.repeat(2 * limits.pickleLineBytes + 3_000_000)}\n0`;
  const hidden = `\x80\x04${line}${called(named('os', 'system'), text('id'))}.`;
  assert.ok((await rulesOf(load(hidden))).includes('PKL-CALL-ARGUMENTS'));
  assert.deepEqual(await rulesOf(load('\x80\x04NNNNNN0.')), []);
});

test('data that only looks like a pickle in a string is left alone', async () => {
  const words = [
    'cat.',
    'gAtheringsOfPeople12',
    '8004',
    '(c) 2024 someone.',
    'Y29zIHN5c3RlbQ==',
    'https://a.b/c?d=e#f',
  ];
  assert.deepEqual(await rulesOf(pickle(`(${words.map(text).join('')}l`)), []);
});

test('control characters in arguments cannot reach a terminal', async () => {
  const findings = await judged(pickle(called(named('os', 'system'), text('\x1b[2J\r\n'))));
  assert.match(findings[0]?.message ?? '', /^would call `os\.system\("\\x1b\[2J\\x0d\\n"\)`$/);
});
