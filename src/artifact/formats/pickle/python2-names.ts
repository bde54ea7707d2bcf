import table from './python2-names.json' with { type: 'json' };

const modules = new Map<string, string>(Object.entries(table.modules));
const names = new Map<string, string>(Object.entries(table.names));

/**
 * The names that CPython's unpicklers import below protocol 3 unless told otherwise (`fix_imports`): first the exact
 * (module, name) pair, else the module alone. Table: CPython `_compat_pickle`, written by `tools/python2-names.py`.
 */
export function mapPython2Name(
  module: string,
  name: string,
): { readonly module: string; readonly name: string } {
  const pair = names.get(`${module}\n${name}`);
  if (pair !== undefined) {
    const [newModule = module, newName = name] = pair.split('\n');
    return { module: newModule, name: newName };
  }
  return { module: modules.get(module) ?? module, name };
}
