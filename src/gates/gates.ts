import { recheckBundle } from './offline/recheck.ts';
import { promote } from './promote/promote.ts';
import { pullGate } from './pull/gate.ts';

/**
 * Table 2 of the product: every point that asks for a decision and enforces it. A gate is one folder and one row here;
 * the wire opens them and nothing else needs to know that they exist.
 */
export const gates = {
  /** Unmodified hub clients: list and download, or are told the reason. */
  pull: { open: pullGate, action: 'pull' },
  /** The release key signs after an allow. */
  promote: { open: promote, action: 'promote' },
  /** A recorded decision is held against its own evidence, with no network. */
  offline: { open: recheckBundle, action: null },
} as const;
