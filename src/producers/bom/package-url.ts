/**
 * A package URL (purl-spec, type `huggingface`): the name keeps its case, a commit is lower case, and what is not a
 * model carries the qualifier `type`. `repository` is `org/name` or a bare `name`.
 */
export function huggingFacePurl(
  repository: string,
  options: { readonly commit?: string; readonly type?: 'dataset' | 'space' } = {},
): string {
  const path = repository.split('/').map(encodePart).join('/');
  const version = options.commit === undefined ? '' : `@${encodePart(options.commit.toLowerCase())}`;
  const qualifiers = options.type === undefined ? '' : `?type=${options.type}`;
  return `pkg:huggingface/${path}${version}${qualifiers}`;
}

/** Percent-encoding of purl-spec: all but letters, digits, `.`, `-`, `_`, `~` and `:`. */
function encodePart(text: string): string {
  return encodeURIComponent(text.toWellFormed())
    .replaceAll('%3A', ':')
    .replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** `org/name` or `name` as a hub spells repositories: nothing that could be a path or a URL. */
export function isRepositoryId(text: string): boolean {
  return /^[A-Za-z0-9][\w.-]{0,95}(\/[A-Za-z0-9][\w.-]{0,95})?$/.test(text) && !text.includes('..');
}
