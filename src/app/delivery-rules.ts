import type { RepositoryName, RepositoryType } from '#artifact/catalog.ts';
import type { Delivery, DeliveryMode } from '#gates/pull/ports.ts';
import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { nearest } from '#lib/nearest.ts';
import { parseStrictYaml } from '#lib/strict-yaml.ts';

/** One rule of `delivery.yaml`. A member that is undefined is about all of them. */
export interface DeliveryRule {
  /** Globs over the repository id, lower case: `*` is any run of characters, `?` is one. */
  readonly repositories: readonly string[];
  readonly type: RepositoryType | undefined;
  /** Glob over the namespace. */
  readonly namespace: string | undefined;
  /** Formats by content, as the intake names them. */
  readonly formats: readonly string[] | undefined;
  readonly mode: DeliveryMode;
}

/** Whose file it is, apart from its content. */
export interface DeliveredRepository {
  readonly repository: RepositoryName;
  readonly namespace: string;
}

/**
 * The formats of which a prefix can do nothing, whoever reads it: only these may ever stream before their verdict. The
 * intake calls a file `npy` only when its elements are numbers, and `gguf` only once its header was judged.
 */
export const streamableFormats = ['gguf', 'npy', 'safetensors'] as const;

const isStreamable = (format: string): boolean => streamableFormats.some((known) => known === format);

/** Does a person have to approve artifacts of this repository? The first rule without `formats` that matches says so. */
export function needsApproval(rules: readonly DeliveryRule[], delivered: DeliveredRepository): boolean {
  return rules.find((rule) => rule.formats === undefined && matches(rule, delivered))?.mode === 'approve';
}

/**
 * How a file of this format is delivered. A repository that needs approval is `approve` whatever the format; else the
 * first rule that matches; else what is known to be harmless may stream to clients that are known to be safe with it.
 */
export function deliveryOf(
  rules: readonly DeliveryRule[],
  delivered: DeliveredRepository,
  format: string,
): Delivery {
  if (needsApproval(rules, delivered)) return { mode: 'approve', everyClient: true };
  const rule = rules.find(
    (candidate) => (candidate.formats?.includes(format) ?? true) && matches(candidate, delivered),
  );
  if (rule !== undefined) return { mode: rule.mode, everyClient: true };
  return { mode: isStreamable(format) ? 'tail' : 'hold', everyClient: false };
}

function matches(rule: DeliveryRule, { repository, namespace }: DeliveredRepository): boolean {
  // A hub knows a repository by every spelling of its name, so a rule does too.
  const id = repository.id.toLowerCase();
  return (
    (rule.type === undefined || rule.type === repository.type) &&
    (rule.namespace === undefined || matchesGlob(rule.namespace, namespace)) &&
    rule.repositories.some((glob) => matchesGlob(glob, id))
  );
}

/** `*` is any run of characters (also none, also over `/`), `?` is exactly one. Time is bounded by glob × text. */
export function matchesGlob(glob: string, text: string): boolean {
  let [at, place] = [0, 0];
  let star: { readonly at: number; place: number } | undefined;
  while (place < text.length) {
    if (glob[at] === '*') star = { at: at++, place };
    else if (at < glob.length && (glob[at] === '?' || glob[at] === text[place]))
      [at, place] = [at + 1, place + 1];
    else if (star === undefined) return false;
    else [at, place] = [star.at + 1, ++star.place];
  }
  while (glob[at] === '*') at++;
  return at === glob.length;
}

const refuse = (message: string): never => {
  throw new Fault('config.invalid', message, { hint: 'docs/reference/delivery.md describes the file' });
};

/**
 * The text of `delivery.yaml` (YAML 1.2 core schema, no tags, aliases or merge keys) to its rules in order. Fault
 * `config.invalid` names the rule and the member: unknown members, `tail` for anything that is not in
 * `streamableFormats`, and `approve` together with `formats` (an approval is about an artifact) are refused.
 */
export function parseDeliveryRules(text: string): readonly DeliveryRule[] {
  const document = membersOf(readDocument(text), 'the file', ['rules']);
  const rules = document.get('rules');
  if (!Array.isArray(rules)) return refuse('the file needs a list in `rules`; `rules: []` is an empty one');
  if (rules.length > limits.deliveryRules) return refuse(`there are more than ${limits.deliveryRules} rules`);
  return rules.map((rule: unknown, index) => parseRule(rule, `rule ${index + 1}`));
}

function readDocument(text: string): unknown {
  if (Buffer.byteLength(text) > limits.deliveryBytes)
    return refuse(`the file has more than ${limits.deliveryBytes} bytes`);
  try {
    return parseStrictYaml(text);
  } catch (thrown) {
    return refuse(`not YAML: ${thrown instanceof Error ? thrown.message : ''}`);
  }
}

const modes = ['tail', 'hold', 'approve'] as const;
const types = ['models', 'datasets', 'spaces'] as const;
const ruleMembers = ['repositories', 'type', 'namespace', 'formats', 'mode'] as const;

function parseRule(value: unknown, place: string): DeliveryRule {
  const members = membersOf(value, place, ruleMembers);
  const repositories = texts(
    members.get('repositories'),
    `${place}: \`repositories\``,
    /^[^\s\p{Cc}]{1,200}$/u,
  );
  const type = members.get('type');
  const namespace = members.get('namespace');
  const formats = members.get('formats');
  const rule: DeliveryRule = {
    repositories: repositories.map((glob) => glob.toLowerCase()),
    type: type === undefined ? undefined : oneOf(type, types, `${place}: \`type\``),
    namespace:
      namespace === undefined
        ? undefined
        : texts([namespace], `${place}: \`namespace\``, /^[^\s\p{Cc}/]{1,200}$/u)[0],
    formats:
      formats === undefined
        ? undefined
        : texts(formats, `${place}: \`formats\``, /^[a-z0-9]+(?:[-.][a-z0-9]+)*$/),
    mode: oneOf(members.get('mode'), modes, `${place}: \`mode\``),
  };
  refuseUnsafe(rule, place);
  return rule;
}

function refuseUnsafe({ mode, formats }: DeliveryRule, place: string): void {
  const streamable = streamableFormats.map((format) => `\`${format}\``).join(', ');
  if (mode === 'approve' && formats !== undefined)
    refuse(`${place}: \`approve\` is about whole artifacts and takes no \`formats\``);
  if (mode !== 'tail') return;
  if (formats === undefined)
    refuse(`${place}: \`tail\` needs \`formats\`, because only some may stream unseen: ${streamable}`);
  const unsafe = formats?.find((format) => !isStreamable(format));
  if (unsafe !== undefined)
    refuse(
      `${place}: \`${unsafe}\` may not stream before its verdict, because its beginning can run or is not known to be harmless; only ${streamable} may`,
    );
}

function membersOf(value: unknown, place: string, known: readonly string[]): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return refuse(`${place} must be a mapping with ${known.map((name) => `\`${name}\``).join(', ')}`);
  for (const name of Object.keys(value)) {
    if (known.includes(name)) continue;
    const guess = nearest(name, known);
    refuse(
      `${place} has an unknown member \`${name.slice(0, 100)}\`${guess === undefined ? '' : `; did you mean \`${guess}\`?`}`,
    );
  }
  return new Map<string, unknown>(Object.entries(value));
}

function texts(value: unknown, what: string, shape: RegExp): readonly string[] {
  if (!Array.isArray(value) || value.length === 0)
    return refuse(`${what} must be a list with at least one entry`);
  if (value.length > limits.deliveryRules)
    return refuse(`${what} has more than ${limits.deliveryRules} entries`);
  return value.map((entry: unknown) =>
    typeof entry === 'string' && shape.test(entry)
      ? entry
      : refuse(`${what}: \`${String(entry).slice(0, 100)}\` is not one of its values`),
  );
}

function oneOf<const T extends string>(value: unknown, known: readonly T[], what: string): T {
  const found = known.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  const guess = typeof value === 'string' ? nearest(value, known) : undefined;
  return refuse(
    `${what} must be one of ${known.join(', ')}${guess === undefined ? '' : `; did you mean \`${guess}\`?`}`,
  );
}
