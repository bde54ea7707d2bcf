import layers from './torch-layers.json' with { type: 'json' };

/** What the arguments of a reviewed callable must be for the call to stay harmless. */
export type ArgumentRule =
  /** Anything: the callable only stores or converts data, and functions never pass as data. */
  | 'any'
  /** `_codecs.encode(text, "latin1")`: the codec name must be that constant. */
  | 'latin1'
  /** No integers (`bytearray(n)` would allocate n bytes) and no codec but the plain ones. */
  | 'no-length'
  /** The first argument is the class to build, and that class is reviewed. */
  | 'builds-first'
  /** One byte string that is a pickle, which is then judged as a nested one. */
  | 'pickle-bytes'
  /** Sets attributes from its fourth argument, which is judged as state. */
  | 'sets-fourth'
  /** Calls its first argument with its third and sets its fourth as state: judged as that call. */
  | 'carries-call';

export interface Review {
  /** `class` may also stand as data, `constant` only as data, `function` only where it is called. */
  readonly role: 'class' | 'constant' | 'function';
  /** Undefined: may be imported, not called. */
  readonly call: ArgumentRule | undefined;
  /** May BUILD give state to what it returns? */
  readonly state: boolean;
  /** May SETITEM, APPEND and ADDITEMS fill what it returns? */
  readonly items: boolean;
  /** Why this is harmless, written by whoever reviewed it. */
  readonly reason: string;
}

interface Group {
  readonly module: string;
  readonly names: string;
  readonly role: Review['role'];
  readonly call?: ArgumentRule;
  readonly state?: true;
  readonly items?: true;
  readonly reason: string;
}

const storages =
  'BFloat16Storage BoolStorage ByteStorage CharStorage ComplexDoubleStorage ComplexFloatStorage DoubleStorage FloatStorage HalfStorage IntStorage LongStorage QInt32Storage QInt8Storage QUInt2x4Storage QUInt4x2Storage QUInt8Storage ShortStorage';
const tensors =
  'BFloat16Tensor BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor IntTensor LongTensor ShortTensor';

const groups: readonly Group[] = [
  {
    module: '_codecs',
    names: 'encode',
    role: 'function',
    call: 'latin1',
    reason: 'how protocols 0 to 2 spell bytes; any other codec name could run a codec of the environment',
  },
  {
    module: 'builtins',
    names: 'set frozenset complex slice range list dict tuple int float bool object',
    role: 'class',
    call: 'any',
    items: true,
    reason: 'constructs a plain value from data',
  },
  {
    module: 'builtins',
    names: 'bytearray bytes str',
    role: 'class',
    call: 'no-length',
    reason:
      'copies bytes or text; only a length could exhaust memory and only a codec name could load a codec',
  },
  {
    module: 'builtins',
    names: 'Ellipsis NotImplemented',
    role: 'constant',
    reason: 'a singleton without behaviour',
  },
  {
    module: 'collections',
    names: 'OrderedDict defaultdict Counter deque',
    role: 'class',
    call: 'any',
    state: true,
    items: true,
    reason: 'a container; a default factory can only be a reviewed class, for functions never pass as data',
  },
  {
    module: 'copyreg',
    names: '_reconstructor',
    role: 'function',
    call: 'builds-first',
    state: true,
    items: true,
    reason: 'calls __new__ of its first argument, which must be reviewed itself',
  },
  {
    module: 'datetime',
    names: 'date datetime time timedelta timezone',
    role: 'class',
    call: 'any',
    reason: 'an immutable value',
  },
  { module: 'decimal', names: 'Decimal', role: 'class', call: 'any', reason: 'an immutable number' },
  { module: 'fractions', names: 'Fraction', role: 'class', call: 'any', reason: 'an immutable number' },
  { module: 'uuid', names: 'UUID', role: 'class', call: 'any', state: true, reason: 'an immutable value' },
  {
    module: 'pathlib',
    names: 'Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath',
    role: 'class',
    call: 'any',
    reason: 'a path as a value; nothing is opened',
  },
  {
    module: 'pathlib._local',
    names: 'Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath',
    role: 'class',
    call: 'any',
    reason: 'a path as a value; nothing is opened (module name of CPython 3.13)',
  },
  {
    module: 'numpy',
    names: 'dtype',
    role: 'class',
    call: 'any',
    state: true,
    reason: 'describes elements; its text form is parsed as literals only',
  },
  {
    module: 'numpy',
    names: 'ndarray matrix',
    role: 'class',
    call: 'any',
    state: true,
    reason: 'an array over its state; objects in it come from this same pickle',
  },
  {
    module: 'numpy',
    names:
      'bool_ bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128 str_ bytes_ generic number',
    role: 'class',
    call: 'any',
    reason: 'a scalar type',
  },
  {
    module: 'numpy.core.multiarray',
    names: '_reconstruct',
    role: 'function',
    call: 'builds-first',
    state: true,
    reason:
      'makes an empty array of the array class that is its first argument, which must be reviewed itself',
  },
  {
    module: 'numpy.core.multiarray',
    names: 'scalar',
    role: 'function',
    call: 'any',
    reason: 'one element from its bytes',
  },
  {
    module: 'numpy.core.numeric',
    names: '_frombuffer',
    role: 'function',
    call: 'any',
    reason: 'views a buffer of this pickle as an array',
  },
  {
    module: 'numpy.dtypes',
    names:
      'BoolDType Int8DType Int16DType Int32DType Int64DType UInt8DType UInt16DType UInt32DType UInt64DType Float16DType Float32DType Float64DType Complex64DType Complex128DType ObjectDType StrDType BytesDType',
    role: 'class',
    call: 'any',
    reason: 'the type of a dtype',
  },
  {
    module: 'torch',
    names: storages,
    role: 'constant',
    reason: 'names the element type of a storage in a persistent id',
  },
  { module: 'torch.cuda', names: storages, role: 'constant', reason: 'names the element type of a storage' },
  { module: 'torch', names: tensors, role: 'constant', reason: 'names a tensor type' },
  { module: 'torch.cuda', names: tensors, role: 'constant', reason: 'names a tensor type' },
  {
    module: 'torch.storage',
    names: 'UntypedStorage TypedStorage _UntypedStorage _TypedStorage',
    role: 'constant',
    reason: 'names a storage in a persistent id',
  },
  {
    module: 'torch',
    names: 'Tensor',
    role: 'constant',
    reason: 'names the type that a rebuild function gives',
  },
  {
    module: 'torch',
    names:
      'bcomplex32 bfloat16 bits16 bits1x8 bits2x4 bits4x2 bits8 bool complex128 complex32 complex64 double float float16 float32 float64 float4_e2m1fn_x2 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu half int int1 int16 int2 int3 int32 int4 int5 int6 int64 int7 int8 long qint32 qint8 quint2x4 quint4x2 quint8 short uint1 uint16 uint2 uint3 uint32 uint4 uint5 uint6 uint64 uint7 uint8',
    role: 'constant',
    reason: 'an element type',
  },
  {
    module: 'torch',
    names:
      'per_channel_affine per_channel_affine_float_qparams per_channel_symmetric per_tensor_affine per_tensor_symmetric strided sparse_coo sparse_csr sparse_csc sparse_bsr sparse_bsc contiguous_format channels_last channels_last_3d preserve_format',
    role: 'constant',
    reason: 'a quantisation scheme, layout or memory format',
  },
  {
    module: 'torch',
    names: 'Size device',
    role: 'class',
    call: 'any',
    reason: 'a value made of numbers and names',
  },
  {
    module: 'torch._utils',
    names:
      '_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_meta_tensor_no_storage _rebuild_nested_tensor _rebuild_qtensor _rebuild_sparse_tensor _rebuild_sparse_csr_tensor _rebuild_device_tensor_from_cpu_tensor _rebuild_device_tensor_from_numpy _rebuild_parameter',
    role: 'function',
    call: 'any',
    reason: 'makes a tensor over a storage of this file; hooks are data that is never a function here',
  },
  {
    module: 'torch._utils',
    names: '_rebuild_parameter_with_state',
    role: 'function',
    call: 'sets-fourth',
    reason: 'makes a parameter and sets attributes of it from data of this file',
  },
  {
    module: 'torch._tensor',
    names: '_rebuild_from_type_v2',
    role: 'function',
    call: 'carries-call',
    reason: 'calls the rebuild function that is its first argument, which is judged as a call',
  },
  {
    module: 'torch.nn.parameter',
    names: 'Parameter Buffer',
    role: 'class',
    call: 'any',
    reason: 'marks a tensor as a parameter',
  },
  {
    module: 'torch.serialization',
    names: '_get_layout',
    role: 'function',
    call: 'any',
    reason: 'looks a layout up by its name in a fixed table',
  },
  {
    module: 'torch.storage',
    names: '_load_from_bytes',
    role: 'function',
    call: 'pickle-bytes',
    reason: 'loads a second torch file from its argument, which is judged as a nested pickle',
  },
  {
    module: 'transformers.training_args',
    names: 'TrainingArguments OptimizerNames ParallelMode',
    role: 'class',
    call: 'any',
    state: true,
    reason: 'settings of a training run: a dataclass filled without __init__, and enumerations by value',
  },
  {
    module: 'transformers.training_args_seq2seq',
    names: 'Seq2SeqTrainingArguments',
    role: 'class',
    call: 'any',
    state: true,
    reason: 'settings of a training run: a dataclass filled without __init__',
  },
  {
    module: 'transformers.trainer_utils',
    names: 'IntervalStrategy SchedulerType HubStrategy SaveStrategy EvaluationStrategy FSDPOption',
    role: 'class',
    call: 'any',
    reason: 'an enumeration, made from its value',
  },
  {
    module: 'transformers.trainer_pt_utils',
    names: 'AcceleratorConfig',
    role: 'class',
    call: 'any',
    state: true,
    reason: 'settings: a dataclass filled without __init__',
  },
  {
    module: 'accelerate.utils.dataclasses',
    names: 'DistributedType DynamoBackend',
    role: 'class',
    call: 'any',
    reason: 'an enumeration, made from its value',
  },
  {
    module: 'accelerate.state',
    names: 'PartialState AcceleratorState',
    role: 'class',
    call: 'any',
    state: true,
    reason: 'process settings, filled without __init__',
  },
];

const layerReason = 'a layer: made without __init__, its state goes into its __dict__';

function buildTable(): ReadonlyMap<string, Review> {
  const table = new Map<string, Review>();
  for (const { module, names, role, call, state, items, reason } of groups) {
    for (const name of names.split(' ')) {
      table.set(`${module}.${name}`, { role, call, state: state ?? false, items: items ?? false, reason });
    }
  }
  const layer: Review = { role: 'class', call: 'any', state: true, items: false, reason: layerReason };
  for (const [module, names] of Object.entries(layers.modules)) {
    for (const name of names) table.set(`${module}.${name}`, layer);
  }
  return table;
}

/** Every global that a pickle may import, by `module.name` (numpy 2 modules under their numpy 1 names). */
export const reviewed: ReadonlyMap<string, Review> = buildTable();

/** The review of a global, undefined where there is none: default deny. */
export function reviewOf(module: string, name: string): Review | undefined {
  if (name.includes('.')) return undefined;
  const known = module.startsWith('numpy._core.')
    ? `numpy.core.${module.slice('numpy._core.'.length)}`
    : module;
  return reviewed.get(`${known}.${name}`);
}
