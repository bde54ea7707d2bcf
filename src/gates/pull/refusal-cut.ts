import type { Socket } from 'node:net';
import type { Caller } from './callers.ts';

/** From here on huggingface_hub takes a clean end of a connection as a broken one and asks for the rest. */
const resumesAfterEnd = { major: 1, minor: 20 };

/**
 * Ends an answer whose head and some bytes have left, after the refusal stands (measured; docs/reference/hub-protocol.md
 * "Refused while it streams"). A length was announced, so no client takes the part for the whole, and each hears why in
 * the way it can: huggingface_hub from 1.20 asks again after an end, an older one after 10 s of silence, and both are
 * then told. No other client asks again, and some take an end, but none a reset, for success.
 */
export function cutRefused(socket: Socket, caller: Caller, lingerMs: number): void {
  if (socket.destroyed) return;
  if (caller.hub === undefined) {
    socket.resetAndDestroy();
    return;
  }
  if (isAtLeast(caller.hub, resumesAfterEnd)) socket.end();
  const timer = setTimeout(() => socket.resetAndDestroy(), lingerMs).unref();
  socket.once('close', () => clearTimeout(timer));
}

function isAtLeast(
  version: NonNullable<Caller['hub']>,
  least: { readonly major: number; readonly minor: number },
): boolean {
  return version.major > least.major || (version.major === least.major && version.minor >= least.minor);
}
