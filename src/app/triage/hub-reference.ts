import type { RepositoryName } from '#artifact/catalog.ts';
import { parseTarget } from '#gates/pull/target.ts';
import { Fault } from '#lib/fault.ts';

/** A repository of a hub at a revision; `HEAD` is its default branch. */
export interface HubReference {
  readonly repository: RepositoryName;
  readonly revision: string;
}

const scheme = 'hf://';

/** Does the text name a hub repository rather than a local path? */
export function isHubReference(text: string): boolean {
  return text.startsWith(scheme);
}

/**
 * `hf://[models/|datasets/|spaces/]org/name[@revision]`. Names and revisions are held to the rules of the pull gate.
 * Fault `request.invalid`.
 */
export function parseHubReference(text: string): HubReference {
  const rest = text.slice(scheme.length);
  const at = rest.indexOf('@');
  const name = at === -1 ? rest : rest.slice(0, at);
  const match = /^(?:(models|datasets|spaces)\/)?([^/]+(?:\/[^/]+)?)$/.exec(name);
  if (!isHubReference(text) || match?.[2] === undefined || at === rest.length - 1) {
    throw new Fault('request.invalid', `\`${text.slice(0, 200)}\` is not a hub repository`, {
      hint: 'write `hf://org/name`, `hf://datasets/org/name` or `hf://org/name@revision`',
    });
  }
  const type = match[1] ?? 'models';
  return hubReference(type, match[2], at === -1 ? 'HEAD' : rest.slice(at + 1));
}

/** The same from its parts. Fault `request.invalid`. */
export function hubReference(type: string, id: string, revision: string): HubReference {
  const path = id.split('/').map(encodeURIComponent).join('/');
  const { target } = parseTarget(`/api/${type}/${path}/revision/${encodeURIComponent(revision)}`);
  if (target.kind !== 'info' || target.repository.id !== id) {
    throw new Fault('request.invalid', `\`${id.slice(0, 100)}\` is not a repository name`);
  }
  return { repository: target.repository, revision: target.revision };
}
