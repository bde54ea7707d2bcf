import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openWholeHouse } from '../support/whole-house.ts';
import type { WholeHouse } from '../support/whole-house.ts';

// What a loader runs or imports and the scan called clean and complete (the last one: unread, and let through as documentation).

let house: WholeHouse;
before(async () => {
  house = await openWholeHouse();
});
after(() => house[Symbol.asyncDispose]());

type Files = Readonly<Record<string, string | Uint8Array>>;

async function statusOf(id: string, path: string): Promise<number> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const answer = await fetch(`${house.server.clients}/${id}/resolve/main/${path}`);
    await answer.arrayBuffer();
    if (answer.status !== 503 || performance.now() > deadline) return answer.status;
  }
}

const call = 'cos\nsystem\n(S"id"\ntR.';

/** A valid safetensors file that `pickle.load` reads as an import of `evil_payload_of_thirty_two_chars`. */
function polyglot(): Uint8Array {
  const pickle = Buffer.concat([
    Buffer.from(`U evil_payload_of_thirty_two_charsU ${'X'.repeat(32)}q`),
    Buffer.from([0xc2, 0x93, 0x2e]),
  ]);
  const meta = Buffer.concat([
    Buffer.from('{"__metadata__":{"k":"'),
    pickle,
    Buffer.from('"},"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'),
  ]);
  const skipped = meta.indexOf(pickle) + 6;
  const header = Buffer.alloc(256 * skipped + 0x43, 0x20);
  meta.copy(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, Buffer.alloc(4)]);
}

/** `str()` of a numpy array whose dtype says that eight bytes of the file are a pointer to an object. */
function pointer(): Uint8Array {
  const global = (module: string, name: string): Buffer => Buffer.from(`c${module}\n${name}\n`);
  const text = (value: string): Buffer =>
    Buffer.concat([Buffer.from([0x58, value.length, 0, 0, 0]), Buffer.from(value)]);
  const raw = (...bytes: number[]): Buffer => Buffer.from(bytes);
  const all = (...parts: Buffer[]): Buffer => Buffer.concat(parts);
  const typeOf = (code: string): Buffer =>
    all(global('numpy', 'dtype'), text(code), raw(0x89, 0x88, 0x87, 0x52));
  const object = all(
    typeOf('O8'),
    raw(0x28, 0x4b, 3),
    text('|'),
    Buffer.from('NNN'),
    raw(0x4a, 255, 255, 255, 255, 0x4a, 255, 255, 255, 255, 0x4b, 0x3f, 0x74, 0x62),
  );
  const fields = all(Buffer.from('}'), text('a'), object, raw(0x4b, 0, 0x86, 0x73));
  const struct = all(
    typeOf('V8'),
    raw(0x28, 0x4b, 3),
    text('|'),
    Buffer.from('N'),
    text('a'),
    raw(0x85),
    fields,
    raw(0x4b, 8, 0x4b, 1, 0x4b, 16, 0x74, 0x62),
  );
  const made = all(
    global('numpy._core.multiarray', '_reconstruct'),
    global('numpy', 'ndarray'),
    raw(0x4b, 0, 0x85, 0x43, 1, 0x62, 0x87, 0x52),
  );
  const state = all(
    raw(0x28, 0x4b, 1, 0x4b, 1, 0x85),
    struct,
    raw(0x89, 0x43, 8, 0x40, 0x41, 0x41, 0x41, 0x41, 0x41, 0x41, 0x41, 0x74, 0x62),
  );
  return all(raw(0x80, 3), global('builtins', 'str'), made, state, raw(0x85, 0x52, 0x2e));
}

/** A reviewed call whose byte string is a pickle that ends, for the scanner, where it holds too many values. */
function nested(): Uint8Array {
  const inner = Buffer.concat([
    Buffer.from([0x80, 4]),
    Buffer.alloc(8_100_000, 'N'),
    Buffer.from([0x8c, 2]),
    Buffer.from('os'),
    Buffer.from([0x8c, 6]),
    Buffer.from('system'),
    Buffer.from([0x93, 0x8c, 2]),
    Buffer.from('id'),
    Buffer.from([0x85, 0x52, 0x2e]),
  ]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(inner.length);
  const outer = Buffer.from('ctorch.storage\n_load_from_bytes\nB');
  return Buffer.concat([Buffer.from([0x80, 4]), outer, length, inner, Buffer.from([0x85, 0x52, 0x2e])]);
}

const escape =
  "{% set u = (lipsum|string)[18] %}{% set g = u~u~'glo'~'bals'~u~u %}{{ lipsum[g]['os'].popen('id').read() }}";

const attacks: Readonly<Record<string, { readonly path: string; readonly files: Files }>> = {
  'text that holds more values than the machine keeps, then a call': {
    path: 'model.pkl',
    files: { 'model.pkl': `${'N'.repeat(8_100_000)}${call}` },
  },
  'text that imports a module of the artifact and has a byte after STOP': {
    path: 'model.pkl',
    files: { 'model.pkl': 'cevil_payload\nX\n.\n# words\n', 'evil_payload.py': 'import os\nX = 1\n' },
  },
  'a pickle inside `torch.storage._load_from_bytes` that holds more values than the machine keeps': {
    path: 'model.pkl',
    files: { 'model.pkl': nested() },
  },
  'safetensors that is also a pickle with an import': {
    path: 'model.pkl',
    files: { 'model.pkl': polyglot() },
  },
  'a numpy dtype whose state makes bytes of the file a pointer': {
    path: 'model.pkl',
    files: { 'model.pkl': pointer() },
  },
  'a template that takes its underscores from the text of a function': {
    path: 'tokenizer_config.json',
    files: { 'tokenizer_config.json': JSON.stringify({ chat_template: escape }) },
  },
  'a template file that does the same': {
    path: 'chat_template.jinja',
    files: { 'chat_template.jinja': escape },
  },
  'YAML with a Python tag': {
    path: 'config.yaml',
    files: { 'config.yaml': 'a: !!python/object/apply:os.system ["id"]\n' },
  },
  'YAML with a `_target_`': {
    path: 'config.yaml',
    files: { 'config.yaml': 'a:\n  _target_: os.system\n  command: id\n' },
  },
  'custom_generate/generate.py, which transformers runs because it is there': {
    path: 'config.json',
    files: { 'config.json': '{"model_type":"gpt2"}', 'custom_generate/generate.py': 'import os\n' },
  },
  'modules.json that names a file of the artifact by the name of a library': {
    path: 'modules.json',
    files: {
      'modules.json': '[{"idx":0,"name":"0","path":"","type":"transformers.Evil"}]',
      'transformers.py': 'import os\n',
    },
  },
  'model_index.json whose component is a file of the artifact by the name of a library': {
    path: 'model_index.json',
    files: {
      'model_index.json': '{"_class_name":"StableDiffusionPipeline","unet":["diffusers","Evil"]}',
      'unet/diffusers.py': 'import os\n',
    },
  },
  'weights that a shard index finds under the name of a licence and that nobody can read': {
    path: 'LICENSE',
    files: {
      'config.json': '{}',
      'pytorch_model.bin.index.json': '{"weight_map":{"w":"LICENSE"}}',
      LICENSE: Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0]), Buffer.alloc(64, 0xa5)]),
    },
  },
};

describe('what executes is not served as clean', () => {
  test('the positive control is refused', async () => {
    await house.hub.commit('attack/control', { 'model.pkl': call });
    assert.equal(await statusOf('attack/control', 'model.pkl'), 403);
  });
  test('the negative control is served', async () => {
    await house.hub.commit('attack/harmless', {
      'config.json': '{"model_type":"gpt2"}',
      'tokenizer_config.json': JSON.stringify({ chat_template: "{{ bos_token ~ messages[0]['content'] }}" }),
      'config.yaml': 'a:\n  b: [1, 2]\n',
      LICENSE: 'Permission is hereby granted',
    });
    assert.equal(await statusOf('attack/harmless', 'config.json'), 200);
  });
  for (const [index, [name, { path, files }]] of Object.entries(attacks).entries()) {
    test(name, { timeout: 120_000 }, async () => {
      const id = `attack/n${index}`;
      await house.hub.commit(id, files);
      assert.equal(await statusOf(id, path), 403);
    });
  }
});
