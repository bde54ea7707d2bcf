import library from './standard-library.json' with { type: 'json' };

const standardLibrary = new Set(library.modules);

/**
 * Modules outside the standard library of which any member can run, load or fetch what its arguments say. The standard
 * library needs no such list: all of it that is not reviewed is denied.
 */
const executingModules = [
  'IPython',
  'cffi',
  'cloudpickle',
  'code_ast',
  'dill',
  'distutils',
  'fabric',
  'hydra',
  'importlib_metadata',
  'invoke',
  'jinja2',
  'joblib.numpy_pickle_utils',
  'numba',
  'numpy.f2py',
  'numpy.testing',
  'numpy.distutils',
  'numpy.ctypeslib',
  'numpy.lib.npyio',
  'omegaconf',
  'paramiko',
  'pexpect',
  'pip',
  'pkg_resources',
  'plumbum',
  'ptyprocess',
  'requests',
  'setuptools',
  'sh',
  'six',
  'sympy.parsing',
  'tensorflow.python.ops.script_ops',
  'torch._dynamo',
  'torch._inductor',
  'torch.distributed',
  'torch.fx',
  'torch.hub',
  'torch.jit',
  'torch.multiprocessing',
  'torch.ops',
  'torch.package',
  'torch.serialization',
  'torch.testing',
  'torch.utils',
  'urllib3',
  'aiohttp',
  'httpx',
  'yaml',
];

/** Single callables in libraries that are otherwise only not reviewed. */
const executingNames = new Set([
  'functorch.compile',
  'keras.models.load_model',
  'numpy.fromfile',
  'numpy.load',
  'numpy.loadtxt',
  'numpy.save',
  'numpy.savetxt',
  'joblib.load',
  'pandas.eval',
  'pandas.read_pickle',
  'torch.load',
  'torch.classes',
]);

/** A carrier that real models contain and that is harmless with harmless contents; not reviewed, not known to execute. */
const commonCarriers = new Set([
  'functools.partial',
  'operator.attrgetter',
  'operator.itemgetter',
  'random.Random',
  're._compile',
  'types.SimpleNamespace',
  'types.MappingProxyType',
  'array._array_reconstructor',
  'zoneinfo.ZoneInfo',
]);

/** Can this global run code, load it, or reach files or the network, as far as is known or must be presumed? */
export function executes(module: string, name: string): boolean {
  const full = `${module}.${name}`;
  if (executingNames.has(full)) return true;
  if (standardLibrary.has(module.split('.')[0] ?? '')) return !commonCarriers.has(full);
  return executingModules.some(
    (prefix) => module === prefix || module.startsWith(`${prefix}.`) || full === prefix,
  );
}
