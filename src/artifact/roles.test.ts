import assert from 'node:assert/strict';
import test from 'node:test';
import { digestOf } from './digest.ts';
import { buildManifest } from './manifest.ts';
import { roleOf } from './roles.ts';
import type { FileRole } from './roles.ts';
import { rootsOf } from './roots.ts';

const table: Readonly<Record<FileRole, string>> = {
  weights: `
    model.safetensors model-00001-of-00163.safetensors consolidated.00.pth pytorch_model.bin training_args.bin
    optimizer.pt rng_state_0.pth scheduler.pt adapter_model.safetensors unet/diffusion_pytorch_model.fp16.safetensors
    llama-2-7b.Q4_K_M.gguf big.gguf-split-a big.gguf.part1of2 imatrix.dat tf_model.h5 flax_model.msgpack
    rust_model.ot onnx/model_O4.onnx onnx/model.onnx_data onnx/model.onnx_data_1 onnx/onnx__MatMul_3210
    onnx/model.layers.0.mlp.weight variables/variables.data-00000-of-00001 openvino/openvino_model.bin model.keras
    model.pkl sklearn.joblib model.PT coreml/x.mlpackage/Data/com.apple.CoreML/weights/weight.bin
    data/train-00000-of-00012.parquet data.jsonl train.csv images.zip voices.tar.gz train/cat/1.jpg audio/1.wav
    gemma.task x.nemo model.pte global_step1/mp_rank_00_model_states.pt __0_0.distcp`,
  steering: `
    config.json generation_config.json tokenizer.json tokenizer_config.json special_tokens_map.json added_tokens.json
    vocab.json vocab.txt merges.txt tokenizer.model spiece.model sentencepiece.bpe.model qwen.tiktoken tekken.json
    model.safetensors.index.json pytorch_model.bin.index.json modeling_deepseek.py configuration_x.py handler.py
    __init__.py requirements.txt chat_template.jinja chat_template.json additional_chat_templates/rag.jinja
    preprocessor_config.json modules.json 1_Pooling/config.json config_sentence_transformers.json model_index.json
    scheduler/scheduler_config.json adapter_config.json SYSTEM_PROMPT.txt Modelfile params template system
    saved_model.pb keras_metadata.pb variables/variables.index openvino/openvino_model.xml quantize_config.json
    hparams.yaml config.yaml .env Dockerfile app.py index.html example.ipynb unknown model.unknown native.so
    SKILL.md AGENTS.md CLAUDE.md prompts/summary.md chat_template.md README.py LICENSE.py README.json license.json
    notice.sh model.safetensors.json README.md/config.json LICENSE/x .gitmodules .lfsconfig .github/workflows/a.yml
    dataset_infos.json setup.cfg README.md.py LICENSE.bin.json`,
  documentation: `
    README.md readme.MD README README.rst docs/usage.md LICENSE LICENSE.txt LICENSE.md LICENCE LICENSE-MIT
    LICENSE_MODEL COPYING NOTICE NOTICE.txt Notice USE_POLICY.md CHANGELOG.md CITATION.cff MODEL_CARD.md
    .gitattributes .gitignore sub/.gitattributes logo.png figure.jpg banner.svg assets/plot.png figures/a.webp
    paper.pdf assets/report.pdf THIRD_PARTY_NOTICES.txt README_zh.md`,
};

test('the roles of files that real repositories hold', () => {
  for (const role of ['weights', 'steering', 'documentation'] as const) {
    for (const path of table[role].split(/\s+/).filter((text) => text !== '')) {
      assert.equal(roleOf(path), role, path);
    }
  }
});

const file = (path: string): { path: string; digest: ReturnType<typeof digestOf>; sizeBytes: number } => ({
  path,
  digest: digestOf(Buffer.from(path)),
  sizeBytes: path.length,
});

test('the roots are the manifests of the subsets', () => {
  const files = ['README.md', 'config.json', 'model.safetensors', 'modeling_x.py'].map(file);
  const [readme, config, weights, code] = files;
  assert.ok(readme && config && weights && code);
  assert.deepEqual(rootsOf(files), {
    all: buildManifest(files).digest,
    loading: buildManifest([config, weights, code]).digest,
    weights: buildManifest([weights]).digest,
  });
  const edited = rootsOf([{ ...readme, digest: digestOf(Buffer.from('new')) }, config, weights, code]);
  assert.notEqual(edited.all, rootsOf(files).all);
  assert.equal(edited.loading, rootsOf(files).loading);
  const poisoned = rootsOf([readme, config, weights, { ...code, digest: digestOf(Buffer.from('new')) }]);
  assert.notEqual(poisoned.loading, rootsOf(files).loading);
  assert.equal(poisoned.weights, rootsOf(files).weights);
});

test('an empty subset has no root, equal subsets have equal roots', () => {
  const readme = file('README.md');
  const model = file('model.gguf');
  assert.deepEqual(rootsOf([readme]), { all: buildManifest([readme]).digest, loading: null, weights: null });
  const { digest } = buildManifest([model]);
  assert.deepEqual(rootsOf([model]), { all: digest, loading: digest, weights: digest });
  const config = rootsOf([file('config.json')]);
  assert.equal(config.loading, config.all);
  assert.equal(config.weights, null);
  assert.throws(() => rootsOf([]), { code: 'artifact.empty' });
});
