import { configKeys, showFallback } from '../config.ts';
import type { CommandOption } from './command.ts';

/** Every configuration key is a flag. */
export const configOptions: readonly CommandOption[] = [
  ...Object.entries(configKeys).map(([name, { summary, fallback }]) => {
    const usual = showFallback(fallback);
    return {
      name,
      value: 'VALUE',
      summary: usual === undefined ? summary : `${summary}; ${usual} by default`,
    };
  }),
  { name: 'config', value: 'FILE', summary: 'configuration file; `<data>/config.yaml` where it exists' },
];
