import type { IncidentKind } from '#evidence/predicates.ts';
import { Fault } from '#lib/fault.ts';
import type { HubSource } from './hub-values.ts';

/** A Fault `upstream.lied` that says which kind of lie it was; `details.kind` is what an incident is recorded under. */
export function lie(kind: IncidentKind, message: string, cause?: unknown): Fault {
  return new Fault('upstream.lied', message, { details: { kind }, cause });
}

/** The same about one file: words that continue "`path` of `repository` …". */
export function lieAboutFile(kind: IncidentKind, source: HubSource, words: string, cause?: unknown): Fault {
  const { repository, commit, file } = source;
  return new Fault('upstream.lied', `\`${file.path}\` of \`${repository.id}\` ${words}`, {
    details: { kind, repository: repository.id, commit, path: file.path },
    cause,
  });
}
