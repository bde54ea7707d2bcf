/** Opcodes by hand, one UTF-16 unit per byte: pickles that no pickler would write. */
export const text = (value: string): string => `\x8c${String.fromCharCode(value.length)}${value}`;
export const named = (module: string, name: string): string => `${text(module)}${text(name)}\x93`;
export const proto = (version: number): string => `\x80${String.fromCharCode(version)}`;
export const frame = (length: number): string => `\x95${String.fromCharCode(length, 0, 0, 0, 0, 0, 0, 0)}`;
/** `callee(argument)`. */
export const called = (callee: string, ...args: readonly string[]): string => `${callee}(${args.join('')}tR`;
export const pickle = (body: string, version = 4): Uint8Array =>
  Uint8Array.from(Buffer.from(`${proto(version)}${body}.`, 'latin1'));
export const raw = (body: string): Uint8Array => Uint8Array.from(Buffer.from(body, 'latin1'));
