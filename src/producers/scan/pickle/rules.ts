import type { Severity } from '#evidence/predicates.ts';

export interface PickleRule {
  readonly severity: Severity;
  /** Why this severity. */
  readonly why: string;
  readonly remedy: string;
}

const safetensors = 'publish the weights as safetensors, which cannot hold code';

/** The rules about pickle. The key is the stable rule id; `critical` makes a file malicious, `high` suspicious. */
export const pickleRules = {
  'PKL-CALL-ARGUMENTS': {
    severity: 'critical',
    why: 'the callable is harmless only with the arguments that real writers give it',
    remedy: `do not load the file; ${safetensors}`,
  },
  'PKL-CALL-COMPUTED': {
    severity: 'critical',
    why: 'what is called is made while loading, so nobody can know it beforehand',
    remedy: `do not load the file; ${safetensors}`,
  },
  'PKL-CALL-DENIED': {
    severity: 'critical',
    why: 'the callable can run code or reach files or the network',
    remedy:
      'do not load the file; report it to whoever published it and treat machines that loaded it as compromised',
  },
  'PKL-CALL-UNREVIEWED': {
    severity: 'high',
    why: 'the callable is not on the reviewed list, so what it does with these arguments is not known',
    remedy: `${safetensors}, or have the callable reviewed and added to the list with a reason`,
  },
  'PKL-DIVERGENCE': {
    severity: 'critical',
    why: 'readers of pickle disagree about these bytes, which no pickler produces and which hides content from scanners',
    remedy: 'do not load the file; save it again with an unmodified pickler',
  },
  'PKL-EXPANSION': {
    severity: 'high',
    why: 'objects share each other so often that comparing, hashing or printing them does not end',
    remedy: 'do not load the file; save the contents without the repeated sharing',
  },
  'PKL-EXTENSION': {
    severity: 'critical',
    why: 'the name behind an extension code is known only to the process that loads the file',
    remedy: 'save the file again without copyreg extension codes',
  },
  'PKL-FUNCTION-AS-DATA': {
    severity: 'high',
    why: 'a function that stands as data can be called later by whatever receives it',
    remedy: `${safetensors}, or save plain data only`,
  },
  'PKL-IMPORT-DENIED': {
    severity: 'critical',
    why: 'the import alone runs the module, and the object can run code or reach files or the network',
    remedy: 'do not load the file; report it to whoever published it',
  },
  'PKL-IMPORT-UNREVIEWED': {
    severity: 'high',
    why: 'the import is not on the reviewed list; importing runs the module that defines it',
    remedy: `${safetensors}, or have the import reviewed and added to the list with a reason`,
  },
  'PKL-MUTATION': {
    severity: 'critical',
    why: 'changing an imported object changes the loading process itself',
    remedy: 'do not load the file; save plain data only',
  },
  'PKL-NAME-COMPUTED': {
    severity: 'critical',
    why: 'the name of the import is made while loading, so nobody can know it beforehand',
    remedy: 'do not load the file; no pickler writes names this way',
  },
  'PKL-NAME-DOTTED': {
    severity: 'critical',
    why: 'a dotted name walks through attributes and reaches modules that the allowed module only uses itself',
    remedy: `do not load the file; ${safetensors}`,
  },
  'PKL-NUMPY-MEMORY': {
    severity: 'critical',
    why: 'numpy would take bytes of the file for pointers or read beyond the array, which lets a file run code',
    remedy: `do not load the file; no numpy writes this; ${safetensors}`,
  },
  'PKL-PERSISTENT': {
    severity: 'high',
    why: 'a persistent id means whatever the loader makes of it',
    remedy: 'save the file in the format of its library (for torch: torch.save) or without persistent ids',
  },
  'PKL-STATE-DENIED': {
    severity: 'critical',
    why: 'no pickler gives state or items to what this callable returns, and doing so calls methods of it',
    remedy: `do not load the file; ${safetensors}`,
  },
  'PKL-STATE-SPECIAL': {
    severity: 'critical',
    why: 'a special attribute set from data is called by the unpickler or the interpreter',
    remedy: 'do not load the file; save plain data only',
  },
  'PKL-TRAILING': {
    severity: 'high',
    why: 'bytes after the end of the pickle are not loaded with it and may be found by other loaders',
    remedy: 'save the file again; nothing belongs after the end of a pickle',
  },
  'PKL-TRUNCATED': {
    severity: 'high',
    why: 'what stands before the break runs although the load fails',
    remedy: 'fetch the file again; a broken pickle must not be loaded',
  },
} as const satisfies Record<string, PickleRule>;

export type PickleRuleId = keyof typeof pickleRules;
