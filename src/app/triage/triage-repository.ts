import { openHub } from '#adapters/hub/hub.ts';
import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { openScanner } from '#producers/scan/scanner.ts';
import { triage, type TriageProgress } from '#producers/scan/triage.ts';
import type { TriageReport } from '#producers/scan/triage-report.ts';
import type { Configuration } from '../config.ts';
import type { HubReference } from './hub-reference.ts';

export interface TriageRun {
  readonly signal: AbortSignal;
  readonly timeMs?: number;
  readonly progress?: (progress: TriageProgress) => void;
}

/** Threads wait for the network most of the time. */
const workers = 4;

/**
 * The triage of a repository at the configured upstream, with nothing but the network: no store, no ledger, so nothing
 * that a decision could rest on. Faults `resource.unknown`, `upstream.unavailable`, `upstream.lied`, `request.forbidden`.
 */
export async function triageRepository(
  { upstream, 'upstream-token': token }: Pick<Configuration, 'upstream' | 'upstream-token'>,
  { repository, revision }: HubReference,
  run: TriageRun,
): Promise<TriageReport> {
  const deadline = AbortSignal.timeout(run.timeMs ?? limits.triageTimeMs);
  const signal = AbortSignal.any([run.signal, deadline]);
  const hub = openHub({ upstream, token });
  const found = await hub.resolve(repository, revision, signal);
  if (found.kind === 'absent') {
    const what = found.what === 'repository' ? `repository \`${repository.id}\`` : `revision \`${revision}\``;
    throw new Fault('resource.unknown', `upstream has no ${what}`, {
      hint: 'a private repository needs `upstream-token`',
    });
  }
  const { commit } = found;
  const files = await hub.tree(repository, commit, signal);
  let requests = 0;
  const requested = (): void => void (requests += 1);
  await using scanner = openScanner({ workers });
  return await triage(
    files.map((file) => ({
      path: file.path,
      sizeBytes: file.sizeBytes,
      sha256: file.lfsDigest,
      gitOid: file.gitOid,
      fetch: hub.ranges({ repository, commit, file }, { signal, requested }),
    })),
    {
      scanner,
      about: { type: repository.type, id: repository.id, revision, commit },
      deadline,
      signal: run.signal,
      requests: () => requests,
      ...(run.progress === undefined ? {} : { progress: run.progress }),
    },
  );
}
