import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLogDirectory } from '../../src/adapters/filesystem/log-files.ts';
import { openMemoryLogFiles } from '../support/memory-log-files.ts';
import { logFilesContract } from './log-files.contract.ts';

logFilesContract('in memory', async () => ({ files: openMemoryLogFiles(), close: async () => {} }));

logFilesContract('directory', async () => {
  const root = await mkdtemp(join(tmpdir(), 'weighbridge-log-'));
  return { files: openLogDirectory(join(root, 'log')), close: () => rm(root, { recursive: true }) };
});
