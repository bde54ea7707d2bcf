import assert from 'node:assert/strict';
import test from 'node:test';
import { loaderOf, planLoads, type PlannedFile } from './plan.ts';

const safetensors = Buffer.from('\x10\0\0\0\0\0\0\0{"__metadata__":{}', 'latin1');
const pickle = Buffer.from('\x80\x04N.', 'latin1');
const zip = (name: string) => Buffer.from(`PK\x03\x04${'\0'.repeat(26)}${name}\0`, 'latin1');

function file(path: string, bytes: Uint8Array | string): PlannedFile {
  const content = Buffer.from(bytes);
  return {
    path,
    sizeBytes: content.byteLength,
    read: (length) => Promise.resolve(content.subarray(0, length)),
  };
}

test('content decides, names only where it says nothing', () => {
  const cases: readonly (readonly [path: string, head: Uint8Array, expected: string | undefined])[] = [
    ['a.safetensors', safetensors, 'safetensors'],
    ['a.txt', safetensors, 'safetensors'],
    ['a.bin', pickle, 'torch'],
    ['a.txt', pickle, 'pickle'],
    ['a.bin', zip('archive/data.pkl'), 'torch'],
    ['a.safetensors', zip('archive/data.pkl'), 'torch'],
    ['a.keras', zip('metadata.json'), 'keras'],
    ['a.zip', zip('readme'), undefined],
    ['a.npy', Buffer.from('\x93NUMPY\x01\0', 'latin1'), 'numpy'],
    ['a.h5', Buffer.from('\x89HDF\r\n\x1a\n', 'latin1'), 'keras'],
    ['protocol-0.pkl', Buffer.from('cos\nsystem\n'), 'pickle'],
    ['vectors.bin', Buffer.from([0, 0, 128, 63]), undefined],
    ['a.onnx', Buffer.from([8, 8, 58]), 'onnx'],
    ['README.md', Buffer.from('# a'), undefined],
    ['empty', Buffer.alloc(0), undefined],
  ];
  for (const [path, head, expected] of cases) assert.equal(loaderOf(path, head), expected, path);
});

test('a directory that says what it is comes first; each file that a library takes follows', async () => {
  const plan = await planLoads([
    file('model.safetensors', safetensors),
    file('pytorch_model.bin', zip('archive/data.pkl')),
    file('config.json', '{"model_type":"bert"}'),
    file('model.gguf', 'GGUF'),
    file('README.md', '# a'),
  ]);
  assert.deepEqual(plan, {
    steps: [
      { loader: 'transformers', path: '' },
      { loader: 'safetensors', path: 'model.safetensors' },
      { loader: 'torch', path: 'pytorch_model.bin' },
    ],
    unloaded: ['model.gguf'],
  });
});

test('a configuration that is none leaves the files', async () => {
  for (const config of ['{', '[]', '{"model_type":1}']) {
    const plan = await planLoads([file('config.json', config), file('model.safetensors', safetensors)]);
    assert.deepEqual(plan.steps, [{ loader: 'safetensors', path: 'model.safetensors' }]);
  }
});
