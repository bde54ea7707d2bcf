import { setTimeout as pause } from 'node:timers/promises';
import { digestOf } from '#artifact/digest.ts';
import type { Digest } from '#artifact/digest.ts';
import { printable } from '#lib/printable.ts';

/** What a client got for one file. */
export interface Pulled {
  readonly status: number;
  /** `X-Error-Code` and `X-Error-Message` of a refusal, escaped. */
  readonly code: string;
  readonly message: string;
  readonly sizeBytes: number;
  readonly digest: Digest;
}

const tries = 40;

/**
 * Pulls one file as a hub client does: HEAD, then GET, and again while the gate is still weighing. Ends with the first
 * answer that is not `503`.
 */
export async function pullFile(
  endpoint: string,
  id: string,
  path: string,
  signal: AbortSignal,
): Promise<Pulled> {
  const url = `${endpoint}/${id}/resolve/main/${path}`;
  for (let attempt = 1; ; attempt++) {
    const head = await fetch(url, { method: 'HEAD', signal });
    const answer = head.ok ? await fetch(url, { signal }) : head;
    const bytes = Buffer.from(await answer.arrayBuffer());
    if (answer.status !== 503 || attempt === tries) {
      return {
        status: answer.status,
        code: printable(answer.headers.get('x-error-code') ?? ''),
        message: printable(answer.headers.get('x-error-message') ?? ''),
        sizeBytes: bytes.length,
        digest: digestOf(bytes),
      };
    }
    await pause(250, undefined, { signal });
  }
}
