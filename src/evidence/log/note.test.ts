import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ecdsaSigner, ed25519Signer } from '../../../test/support/signing.ts';
import { limits } from '#lib/limits.ts';
import { rawEd25519 } from '../signer.ts';
import {
  encodeCheckpoint,
  makeLogIdentity,
  openCheckpoint,
  parseCheckpoint,
  signCheckpoint,
} from './checkpoint.ts';
import { encodeLeaf, parseLeaf } from './leaf.ts';
import {
  encodeNote,
  encodeVerifierKey,
  makeNoteKey,
  openNote,
  parseNote,
  parseVerifierKey,
  signNote,
} from './note.ts';

const signer = ed25519Signer();
const key = makeNoteKey('test.example/log', 1, rawEd25519(signer.publicKeyPem));
const fault = (code: string) => (thrown: unknown) => {
  assert.equal((thrown as { code?: string }).code, code, String(thrown));
  return true;
};

test('the example note of C2SP signed-note opens', () => {
  // c2sp.org/signed-note v1.0.0 "Note": text and signature of its example; the blank line inside belongs to the text.
  const example =
    'Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n' +
    '— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n';
  const { text, signatures } = parseNote(example);
  assert.equal(text.endsWith('\n\ned è subito sera.\n'), true);
  assert.equal(signatures[0]?.keyId, 0x367ba04b);
  assert.equal(encodeNote({ text, signatures }), example);
});

test('verifier keys round-trip and carry their own id', () => {
  for (const type of [1, 4] as const) {
    const made = makeNoteKey('a.example', type, rawEd25519(signer.publicKeyPem));
    const parsed = parseVerifierKey(encodeVerifierKey(made));
    assert.deepEqual([parsed.name, parsed.type, parsed.keyId], ['a.example', type, made.keyId]);
  }
  const good = encodeVerifierKey(key);
  const [name, id, material] = good.split('+', 3);
  const bad = [
    '',
    'x',
    `${name}+00000000+${material}`,
    `other+${id}+${material}`,
    `${name}+${id}+AAAA`,
    `${good}=`,
  ];
  for (const text of bad) assert.throws(() => parseVerifierKey(text), fault('key.invalid'), text);
  for (const wrong of ['', 'a b', 'a+b', 'a\u00a0b', 'a\nb', 'a\u0001b']) {
    assert.throws(() => makeNoteKey(wrong, 1, key.publicKey), fault('key.invalid'));
  }
  assert.throws(() => makeNoteKey('a', 1, key.publicKey.subarray(1)), fault('key.invalid'));
  assert.throws(() => rawEd25519(ecdsaSigner().publicKeyPem), fault('key.invalid'));
});

test('unknown signatures are kept, a wrong one of a known key rejects the note', async () => {
  const text = 'hello\n\nworld\n';
  const good = await signNote(text, key, signer, 0);
  const other = ed25519Signer();
  const stranger = makeNoteKey('stranger', 1, rawEd25519(other.publicKeyPem));
  const foreign = await signNote(text, stranger, other, 0);
  const opened = openNote(encodeNote({ text, signatures: [foreign, good] }), [key]);
  assert.equal(opened.text, text);
  assert.deepEqual([opened.verified.length, opened.unknown.map(({ name }) => name)], [1, ['stranger']]);
  const sameName = { ...foreign, name: key.name };
  const sameId = { ...foreign, keyId: key.keyId };
  for (const unknown of [sameName, sameId]) {
    assert.equal(openNote(encodeNote({ text, signatures: [good, unknown] }), [key]).unknown.length, 1);
  }
  const wrong = { ...foreign, name: key.name, keyId: key.keyId };
  const short = { ...good, signature: good.signature.subarray(1) };
  for (const signatures of [[good, wrong], [wrong, good], [foreign], [short]]) {
    assert.throws(() => openNote(encodeNote({ text, signatures }), [key]), fault('note.invalid'));
  }
  assert.throws(
    () => openNote(encodeNote({ text: 'other\n', signatures: [good] }), [key]),
    fault('note.invalid'),
  );
});

test('malformed notes are refused', async () => {
  const text = 'hello\n';
  const good = encodeNote({ text, signatures: [await signNote(text, key, signer, 0)] });
  const line = good.slice(text.length + 1);
  const bad = [
    '',
    '\n',
    'hello\n',
    'hello\n\n',
    good.slice(0, -1),
    good.replace('—', '-'),
    good.replace('— ', '—'),
    `${good}\n`,
    `he\u0007llo\n\n${line}`,
    `he\rllo\n\n${line}`,
    `\ud800\n\n${line}`,
    `hello\n\n— a AAAA\n`,
    `hello\n\n— a b c\n`,
    `hello\n\n— a+b ${line.split(' ')[2]}`,
    `hello\n\n${line.repeat(limits.noteSignatures + 1)}`,
    `${'x'.repeat(limits.noteBytes)}\n\n${line}`,
  ];
  for (const encoded of bad)
    assert.throws(() => parseNote(encoded), fault('note.invalid'), encoded.slice(0, 60));
  assert.equal(parseNote(`hello\n\n${line.repeat(16)}`).signatures.length, 16);
});

test('checkpoint bodies have one spelling', () => {
  const root = new Uint8Array(32).fill(9);
  const text = encodeCheckpoint({ origin: 'o', size: 12, root, extensions: ['x'] });
  assert.deepEqual(parseCheckpoint(text), { origin: 'o', size: 12, root, extensions: ['x'] });
  const base64 = Buffer.from(root).toString('base64');
  const bad = [
    '',
    'o\n',
    'o\n12\n',
    `o\n12\n${base64}`,
    `o\n012\n${base64}\n`,
    `o\n-1\n${base64}\n`,
    `o\n1e3\n${base64}\n`,
    `o\n99999999999999999\n${base64}\n`,
    `\n12\n${base64}\n`,
    'o\n12\nAAAA\n',
    `o\n12\n${base64}\n\n`,
  ];
  for (const body of bad)
    assert.throws(() => parseCheckpoint(body), fault('note.invalid'), JSON.stringify(body));
});

test('a checkpoint needs both signatures of its log, and the time is signed', async () => {
  const log = makeLogIdentity('test.example/log', signer.publicKeyPem);
  const tree = { size: 3, root: new Uint8Array(32).fill(1), timeSeconds: 1_800_000_000 };
  const head = await signCheckpoint(log, signer, tree);
  assert.equal(openCheckpoint(head.checkpoint, log).signedAtMs, 1_800_000_000_000);
  const { text, signatures } = parseNote(head.checkpoint);
  const [plain, timed] = signatures;
  if (plain === undefined || timed === undefined) assert.fail();
  const later = Buffer.from(timed.signature);
  later.writeBigUInt64BE(1_900_000_000n);
  const huge = Buffer.from(timed.signature);
  huge.writeBigUInt64BE(2n ** 63n);
  for (const set of [
    [plain],
    [timed],
    [plain, { ...timed, signature: later }],
    [plain, { ...timed, signature: huge }],
  ]) {
    assert.throws(() => openCheckpoint(encodeNote({ text, signatures: set }), log), fault('note.invalid'));
  }
  const other = makeLogIdentity('other.example/log', signer.publicKeyPem);
  assert.throws(() => openCheckpoint(head.checkpoint, other), fault('note.invalid'));
  const stolen = head.checkpoint.replace('\n3\n', '\n4\n');
  assert.throws(() => openCheckpoint(stolen, log), fault('note.invalid'));
});

test('leaves are 65 bytes of one version', () => {
  const leaf = encodeLeaf(parseLeaf(Buffer.concat([Uint8Array.of(1), new Uint8Array(64).fill(5)])));
  assert.equal(leaf.length, 65);
  const bad = [
    leaf.subarray(1),
    Buffer.concat([leaf, Uint8Array.of(0)]),
    Uint8Array.from(leaf).fill(2, 0, 1),
  ];
  for (const bytes of bad) assert.throws(() => parseLeaf(bytes), fault('envelope.invalid'));
});
