import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { readConfiguration } from '../config.ts';
import { parseRefusal } from './connection.ts';
import type { CommandContext } from './command.ts';

const timeoutMs = 120_000;

/**
 * One POST to the people's listener of a server on another machine, with `WEIGHBRIDGE_ADMIN_TOKEN`. A token travels
 * over https or to this machine only. Redirects are not followed. Faults: the server's own, `server.unreachable`,
 * `command.usage`.
 */
export async function postToServer(
  address: string,
  { environment, directory }: CommandContext,
  call: { readonly path: string; readonly body: unknown },
): Promise<Uint8Array> {
  const { 'admin-token': token } = readConfiguration({ flags: new Map(), environment, directory });
  if (token === undefined) {
    throw new Fault('command.usage', 'there is no token for the server', {
      hint: 'put its administrator token into `WEIGHBRIDGE_ADMIN_TOKEN`',
    });
  }
  const url = parseAddress(address);
  let response: Response;
  try {
    response = await fetch(new URL(call.path, url), {
      method: 'POST',
      headers: { authorization: `Bearer ${token.reveal()}`, 'content-type': 'application/json' },
      body: JSON.stringify(call.body),
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    });
  } catch (cause) {
    throw new Fault('server.unreachable', `\`${url.origin}\` does not answer`, {
      hint: 'name the address of its console, such as `https://weighbridge.example`',
      cause,
    });
  }
  const bytes = await bounded(response);
  if (!response.ok) throw parseRefusal(bytes);
  return bytes;
}

function parseAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const local = url !== undefined && /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  if (url === undefined || (url.protocol !== 'https:' && !(url.protocol === 'http:' && local)))
    throw new Fault('command.usage', '`--server-url` is an https address, or http on this machine');
  return url;
}

async function bounded(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body ?? []) {
    sizeBytes += chunk.length;
    if (sizeBytes > limits.requestBytes)
      throw new Fault('limit.exceeded', 'the server answers with too much');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
