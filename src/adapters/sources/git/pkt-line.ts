import { Fault } from '#lib/fault.ts';
import type { ByteReader } from '#lib/byte-reader.ts';

/** One packet (gitprotocol-common "pkt-line Format"). */
export type Packet =
  | { readonly kind: 'flush' | 'delimiter' | 'end' }
  | { readonly kind: 'text'; readonly bytes: Buffer };

const special = new Map<number, Packet>([
  [0, { kind: 'flush' }],
  [1, { kind: 'delimiter' }],
  [2, { kind: 'end' }],
]);

/** The next packet; undefined at the end of the stream. Fault `upstream.lied` for what is none. */
export async function readPacket(reader: ByteReader): Promise<Packet | undefined> {
  if (await reader.ended()) return undefined;
  const digits = (await reader.exactly(4)).toString('latin1');
  if (!/^[0-9a-fA-F]{4}$/.test(digits))
    throw new Fault('upstream.lied', 'the server does not speak the git protocol');
  const length = Number.parseInt(digits, 16);
  const marker = special.get(length);
  if (marker !== undefined) return marker;
  if (length < 4) throw new Fault('upstream.lied', 'a git packet is shorter than its own length');
  return { kind: 'text', bytes: await reader.exactly(length - 4) };
}

export function encodePacket(text: string): string {
  return `${(Buffer.byteLength(text) + 4).toString(16).padStart(4, '0')}${text}`;
}

/** A protocol v2 command with its capabilities and arguments (gitprotocol-v2 "Command Request"). */
export function encodeCommand(name: string, lines: readonly string[]): Uint8Array {
  const head = [`command=${name}\n`, 'agent=weighbridge\n', 'object-format=sha1\n'].map(encodePacket);
  const body = lines.map((line) => encodePacket(`${line}\n`));
  return Buffer.from(`${head.join('')}0001${body.join('')}0000`);
}

export function textOf(packet: Packet | undefined): string | undefined {
  return packet?.kind === 'text' ? packet.bytes.toString('utf8').replace(/\n$/, '') : undefined;
}
