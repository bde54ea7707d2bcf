import { roleOf } from '#artifact/roles.ts';
import { compareCodePoints } from '#lib/path-name.ts';
import { isJsonObject, parseJson } from '#lib/json.ts';
import { limits } from '#lib/limits.ts';

export const loaderNames = [
  'sentence-transformers',
  'transformers',
  'keras',
  'onnx',
  'torch',
  'safetensors',
  'numpy',
  'pickle',
] as const;
export type LoaderName = (typeof loaderNames)[number];

/** One call of a library: with a file of the artifact, or with its directory where `path` is empty. */
export interface LoadStep {
  readonly loader: LoaderName;
  readonly path: string;
}

export interface LoadPlan {
  readonly steps: readonly LoadStep[];
  /** Weights that no loader here takes: about them the run says nothing. */
  readonly unloaded: readonly string[];
}

/** A file as the plan looks at it. `read` gives its first bytes. */
export interface PlannedFile {
  readonly path: string;
  readonly sizeBytes: number;
  read(lengthBytes: number): Promise<Uint8Array>;
}

const headBytes = 512;
const configBytes = 1024 * 1024;
const checkpoint = /^(?:model|pytorch_model)(?:-\d+-of-\d+)?\.(?:safetensors|bin)$/;
/** Payload that no model library loads as code or tensors. */
const media = /\.(?:png|jpe?g|gif|webp|bmp|tiff?|avif|mp3|wav|flac|ogg|opus|m4a|mp4|webm|mkv|avi|mov)$/i;

/**
 * What would be done with an artifact by the libraries that people load it with: the whole directory where it says what it
 * is, and every file that a library takes by itself, judged by its first bytes and, where those say nothing, by its name.
 */
export async function planLoads(files: readonly PlannedFile[]): Promise<LoadPlan> {
  const steps: LoadStep[] = [];
  const unloaded: string[] = [];
  const whole = await wholeLoader(files);
  if (whole !== undefined) steps.push({ loader: whole, path: '' });
  for (const file of files.toSorted((a, b) => compareCodePoints(a.path, b.path))) {
    const loader = loaderOf(file.path, await file.read(headBytes));
    if (loader !== undefined) steps.push({ loader, path: file.path });
    else if (roleOf(file.path) === 'weights' && !media.test(file.path)) unloaded.push(file.path);
  }
  const external = steps.some(({ loader }) => loader === 'onnx');
  const left = unloaded.filter((path) => !(external && /\.(?:onnx_data|onnx\.data|data)$/.test(path)));
  return {
    steps: steps.slice(0, limits.sandboxSteps),
    unloaded: [...left, ...steps.slice(limits.sandboxSteps).map(({ path }) => path)],
  };
}

async function wholeLoader(files: readonly PlannedFile[]): Promise<LoaderName | undefined> {
  const names = new Map(files.map((file) => [file.path, file]));
  if (names.has('modules.json') && names.has('config_sentence_transformers.json'))
    return 'sentence-transformers';
  const config = names.get('config.json');
  if (config === undefined || config.sizeBytes > configBytes) return undefined;
  if (![...names.keys()].some((path) => checkpoint.test(path))) return undefined;
  try {
    const parsed = parseJson(await config.read(config.sizeBytes));
    return isJsonObject(parsed) && typeof parsed['model_type'] === 'string' ? 'transformers' : undefined;
  } catch {
    return undefined;
  }
}

const byExtension: Readonly<Record<string, LoaderName>> = {
  bin: 'torch',
  ckpt: 'torch',
  dill: 'pickle',
  h5: 'keras',
  hdf5: 'keras',
  joblib: 'pickle',
  keras: 'keras',
  npy: 'numpy',
  npz: 'numpy',
  onnx: 'onnx',
  pickle: 'pickle',
  pkl: 'pickle',
  pt: 'torch',
  pth: 'torch',
  safetensors: 'safetensors',
};

/** Which library takes this file; undefined for everything that is only read as text, or by none of them. */
export function loaderOf(path: string, head: Uint8Array): LoaderName | undefined {
  const extension = /\.([a-z0-9]+)$/.exec(path.toLowerCase())?.[1] ?? '';
  const named = byExtension[extension];
  const text = Buffer.from(head).toString('latin1');
  if (text.startsWith('\x93NUMPY')) return 'numpy';
  if (text.startsWith('\x89HDF\r\n')) return 'keras';
  if (/^\x80[\x02-\x05]/.test(text)) return named === 'torch' ? 'torch' : 'pickle';
  if (text.startsWith('PK\x03\x04')) {
    if (/^PK.{28}[^\0]{0,200}\/(?:data\.pkl|\.format_version|version|byteorder)/s.test(text)) return 'torch';
    return named;
  }
  if (/^.{8}\{/s.test(text) && isHeaderLength(head)) return 'safetensors';
  // A raw block of numbers with the extension `.bin` is none of the formats above; torch would refuse it.
  return named === 'torch' && extension === 'bin' ? undefined : named;
}

/** The first eight bytes of safetensors: a length below the bound of its header. */
function isHeaderLength(head: Uint8Array): boolean {
  const length = Buffer.from(head.buffer, head.byteOffset, 8).readBigUInt64LE();
  return length > 1n && length <= BigInt(limits.safetensorsHeaderBytes);
}
