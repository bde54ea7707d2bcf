import { readFile, stat } from 'node:fs/promises';
import { parseDigest } from '#artifact/digest.ts';
import { gates } from '#gates/gates.ts';
import { Fault } from '#lib/fault.ts';
import { encodeJcsText } from '#lib/jcs.ts';
import { limits } from '#lib/limits.ts';
import { explain } from '#policy/explain.ts';
import { outputFormat, print } from './command.ts';
import type { CommandContext, CommandInput, ExitCode } from './command.ts';

const onlineOnly = ['action', 'environment', 'file', 'export', 'data'] as const;

/**
 * Re-checks an exported decision with nothing but the file. Exit 0: reproduced and allowed; 2: reproduced and denied, or
 * anything in the file does not hold; 1: the file could not be read.
 */
export async function recheckOffline(
  path: string,
  input: CommandInput,
  context: CommandContext,
): Promise<ExitCode> {
  const format = outputFormat(input);
  const stray =
    onlineOnly.find((name) => input.flags.has(name)) ??
    (input.positionals.length > 0 ? 'ARTIFACT' : undefined);
  if (stray !== undefined) {
    throw new Fault('command.usage', `\`${stray}\` has no meaning with \`--offline\``, {
      hint: 'the question stands in the file',
    });
  }
  const pin = input.flags.get('trust');
  const expected = pin === undefined ? undefined : parseDigest(pin);
  const recheck = gates.offline.open(await readBundle(path), expected);
  const { decision, reproduced, reasons, fingerprint, selfAsserted } = recheck;
  if (format === 'json') {
    await print(
      context.stdout,
      `${encodeJcsText({ reproduced, reasons, decision: decision ?? null, fingerprint: fingerprint ?? null, selfAsserted })}\n`,
    );
  } else {
    const held = reproduced ? 'reproduced byte for byte' : `NOT reproduced: ${reasons.join('; ')}`;
    const pinned = expected !== undefined && fingerprint === expected;
    const trust = selfAsserted
      ? `trust root ${fingerprint ?? 'unknown'} is vouched for by the file alone; pin it with --trust`
      : `trust root ${fingerprint ?? 'unknown'} is ${pinned ? '' : 'NOT '}the pinned one`;
    await print(
      context.stdout,
      `${held}\n${trust}\n${reproduced && decision !== undefined ? `\n${explain(decision)}` : ''}`,
    );
  }
  return reproduced && decision?.verdict !== 'deny' ? 0 : 2;
}

async function readBundle(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size > limits.bundleBytes)
      throw new Fault('limit.exceeded', `\`${path}\` is larger than ${limits.bundleBytes} bytes`);
    return await readFile(path);
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault('file.unreadable', `cannot read \`${path}\``, { cause });
  }
}
