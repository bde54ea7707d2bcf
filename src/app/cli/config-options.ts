import { configKeys } from '../config.ts';
import type { CommandOption } from './command.ts';

/** Every configuration key is a flag. */
export const configOptions: readonly CommandOption[] = [
  ...Object.entries(configKeys).map(([name, row]) => ({ name, value: 'VALUE', summary: row.summary })),
  { name: 'config', value: 'FILE', summary: 'configuration file; `<data>/config.yaml` where it exists' },
];
