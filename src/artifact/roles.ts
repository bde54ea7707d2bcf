/** What a file is for whoever loads the artifact, judged by its path alone, so that an upstream tree is enough. */
export type FileRole = 'weights' | 'steering' | 'documentation';

/**
 * The role of a file. `weights`: bulk payload that a loader asks for by name: tensors in any format, pickles, dataset
 * shards, archives. `documentation`: what no loader reads. `steering`: everything else, so what is not known steers
 * loading: code, configuration, tokenizers, vocabularies, shard indexes, chat templates, prompts.
 *
 * The mistake that would matter is calling something documentation that steers: it would be outside the `loading`
 * root. Hence that list is short and exact, and the rest leans to the strict side. Images count as documentation
 * only beside a model card; an approval of a dataset or a space should bind the root `all`.
 */
export function roleOf(path: string): FileRole {
  const lower = path.toLowerCase();
  const name = lower.slice(lower.lastIndexOf('/') + 1);
  if (isDocumentation(lower, name)) return 'documentation';
  return isWeights(name) ? 'weights' : 'steering';
}

// Names are foreign: in these patterns no text can be divided among repetitions in two ways, so that none backtracks.
const gitFiles = new Set(['.gitattributes', '.gitignore', '.gitkeep']);
const documentNames =
  /^(?:readme|licen[cs]e|copying|copyright|notice|third[-_]party[-_]notices?|changelog|authors|contributors|contributing|code_of_conduct|security|citation|use[-_]policy|acceptable[-_]use[-_]policy|model[-_]?card)(?:[-_][a-z0-9_-]+)?(?:\.(?:md|markdown|txt|rst|pdf|cff|bib))?$/;
const markdown = /\.(?:md|markdown|mdx)$/;
/** Markdown that is given to a model or an agent as instructions. */
const instructions =
  /prompt|system|template|instruction|skill|agent|claude|gemini|copilot|persona|memory|tool|rule/;
const image = /\.(?:png|jpe?g|gif|webp|svg|bmp|avif|ico)$/;
const illustrationFolder = /^(?:assets?|figures?|figs?|docs?|screenshots?|plots?)\/[^/]+$/;

function isDocumentation(lower: string, name: string): boolean {
  if (gitFiles.has(name) || documentNames.test(name)) return true;
  if (markdown.test(name)) return !instructions.test(lower);
  return (
    (image.test(name) || name.endsWith('.pdf')) && (!lower.includes('/') || illustrationFolder.test(lower))
  );
}

/** Graphs and tables of contents in the formats below: they say how payload is put together. */
const steeringBinaries = new Set(['saved_model.pb', 'keras_metadata.pb', 'fingerprint.pb', 'graph.pbtxt']);

const weightExtensions = new Set(
  [
    'safetensors bin pt pth ckpt ptl pte pkl pickle p joblib dill cloudpickle skops npy npz mat',
    'gguf ggml ggjt llamafile onnx ort onnx_data h5 hdf5 keras pb tflite task litertlm msgpack ot',
    'mlmodel caffemodel params pdparams pdopt pdiparams nemo mar engine plan trt rknn dduf zarr',
    'ubj bst cbm xgb lgb rds orbax exl2 mnn ncnn dat data weights tensors imatrix torchscript distcp',
    'parquet arrow feather csv tsv jsonl ndjson tfrecord tfrecords lance avro orc mds',
    'zip tar gz tgz zst xz bz2 lz4 7z rar mp3 wav flac ogg opus m4a mp4 webm mkv avi mov',
    'png jpg jpeg gif webp bmp tif tiff avif',
  ].flatMap((line) => line.split(' ')),
);
/** Split files and shards whose end is not an extension: `x.gguf-split-a`, `x.gguf.part1of2`, `x.data-00000-of-00002`. */
const weightShards =
  /\.(?:gguf|ggml|safetensors|bin|pt|pth|ckpt|zip|tar|onnx|data|h5)[-_.](?:part|split|data|\d)[a-z0-9_-]*(?:\.(?:part|split|data|\d)[a-z0-9_-]*)*$/;
const onnxTensor = /^onnx__[a-z0-9_]+$|^[a-z0-9_.]+\.(?:weight|bias|onnx_data_\d+)$/;

function isWeights(name: string): boolean {
  if (steeringBinaries.has(name)) return false;
  const dot = name.lastIndexOf('.');
  return (
    (dot >= 0 && weightExtensions.has(name.slice(dot + 1))) ||
    weightShards.test(name) ||
    onnxTensor.test(name)
  );
}
