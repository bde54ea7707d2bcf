import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { parseStrictYaml } from '#lib/strict-yaml.ts';
import { nearest } from '#lib/nearest.ts';
import type { Environment, Tier } from '#evidence/predicates.ts';
import type { Action } from './decision.ts';

export const policyApiVersion = 'weighbridge.dev/policy/v1';

export const actions = ['pull', 'promote', 'deploy', 'load', 'serve'] as const satisfies readonly Action[];
export const environments = [
  'development',
  'staging',
  'production',
] as const satisfies readonly Environment[];
export const tiers = ['low', 'medium', 'high'] as const satisfies readonly Tier[];

/** Which questions a policy answers. A member that is null is about all of them. */
export interface AppliesTo {
  readonly actions: readonly Action[] | null;
  readonly environments: readonly Environment[] | null;
  readonly tiers: readonly Tier[] | null;
  readonly namespaces: readonly string[] | null;
}

/** One rule as written. Its name in decisions, waivers and documents is `<policy>.<id>`. */
export interface PolicyRule {
  readonly id: string;
  readonly description: string;
  readonly effect: 'deny' | 'warn';
  /** CEL, bool: what must be true. */
  readonly require: string;
  /** Asked once about the artifact, or once for each file that the question needs. */
  readonly for: 'artifact' | 'files';
  /** What to say when it is not true, or a CEL text that says it. */
  readonly message: string | null;
  readonly messageExpression: string | null;
  /** What is missing, in words, when evidence that the rule looks at does not exist. */
  readonly missing: string | null;
  readonly who: string;
  readonly remedy: string;
  /** No waiver touches it. */
  readonly integrity: boolean;
}

/** A policy document, every optional member filled in: what the policy digest is about. */
export interface Policy {
  readonly apiVersion: typeof policyApiVersion;
  readonly name: string;
  readonly description: string;
  readonly appliesTo: AppliesTo;
  readonly rules: readonly PolicyRule[];
}

const identifier = /^[a-z0-9]+(?:-[a-z0-9]+)*$/;
/** First parts of the rule names that no policy may take. */
const reserved = ['integrity', 'evaluation', 'delivery'];

const refuse = (name: string, message: string): never => {
  throw new Fault('policy.invalid', `policy \`${name}\`: ${message}`, {
    hint: 'docs/reference/policies.md describes the document',
  });
};

/**
 * A policy document (YAML 1.2 core schema, so JSON too; no tags, anchors' aliases or merge keys) to a policy. `name` is
 * what messages call it until its own name is known. Fault `policy.invalid` for everything that is not exactly this
 * shape, unknown members with the nearest known one. Expressions are not looked at here: see `compilePolicySet`.
 */
export function parsePolicy(text: string, name: string): Policy {
  const members = new Members(name, 'the document', readDocument(text, name));
  members.expect('apiVersion', 'name', 'description', 'appliesTo', 'rules');
  if (members.text('apiVersion') !== policyApiVersion)
    refuse(name, `\`apiVersion\` must be \`${policyApiVersion}\``);
  const ownName = members.text('name', identifier);
  if (reserved.includes(ownName)) refuse(name, `the name \`${ownName}\` is reserved`);
  const rules = members
    .list('rules', limits.policyRules)
    .map((rule, index) => parseRule(new Members(name, `rule ${index + 1}`, rule)));
  if (rules.length === 0) refuse(name, 'there are no rules');
  const repeated = rules.find((rule, index) => rules.findIndex((other) => other.id === rule.id) !== index);
  if (repeated !== undefined) refuse(name, `two rules are called \`${repeated.id}\``);
  return {
    apiVersion: policyApiVersion,
    name: ownName,
    description: members.text('description'),
    appliesTo: parseAppliesTo(new Members(name, '`appliesTo`', members.value('appliesTo') ?? {})),
    rules,
  };
}

/** What a document that is otherwise broken says it is about; everything where it does not say so clearly. */
export function salvageAppliesTo(text: string): AppliesTo {
  try {
    const document = readDocument(text, '');
    const members = new Members('', '', document);
    return parseAppliesTo(new Members('', '', members.value('appliesTo') ?? {}));
  } catch {
    return { actions: null, environments: null, tiers: null, namespaces: null };
  }
}

function readDocument(text: string, name: string): unknown {
  if (Buffer.byteLength(text) > limits.policyBytes) return refuse(name, 'the document is too large');
  try {
    return parseStrictYaml(text);
  } catch (thrown) {
    return refuse(name, thrown instanceof Error ? thrown.message : 'not YAML');
  }
}

function parseAppliesTo(members: Members): AppliesTo {
  members.expect('actions', 'environments', 'tiers', 'namespaces');
  const namespaces = members.value('namespaces');
  return {
    actions: members.choices('actions', actions),
    environments: members.choices('environments', environments),
    tiers: members.choices('tiers', tiers),
    namespaces:
      namespaces === undefined || namespaces === null
        ? null
        : members.list('namespaces', 1000).map((value) => members.asText('namespaces', value)),
  };
}

function parseRule(members: Members): PolicyRule {
  members.expect(
    'id',
    'description',
    'effect',
    'require',
    'for',
    'message',
    'messageExpression',
    'missing',
    'who',
    'remedy',
    'integrity',
  );
  const integrity = members.value('integrity') ?? false;
  if (typeof integrity !== 'boolean') return members.refuse('`integrity` must be true or false');
  const message = members.optionalText('message');
  const messageExpression = members.optionalText('messageExpression');
  if ((message === null) === (messageExpression === null))
    return members.refuse('needs `message` or `messageExpression`, and not both');
  return {
    id: members.text('id', identifier),
    description: members.text('description'),
    effect: members.choice('effect', ['deny', 'warn']),
    require: members.text('require'),
    for: members.value('for') === undefined ? 'artifact' : members.choice('for', ['artifact', 'files']),
    message,
    messageExpression,
    missing: members.optionalText('missing'),
    who: members.text('who'),
    remedy: members.text('remedy'),
    integrity,
  };
}

/** Members of one mapping, read with messages that say where. */
class Members {
  readonly #policy: string;
  readonly #place: string;
  readonly #members: ReadonlyMap<string, unknown>;

  constructor(policy: string, place: string, value: unknown) {
    this.#policy = policy;
    this.#place = place;
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      refuse(policy, `${place} must be a mapping`);
    this.#members = new Map<string, unknown>(Object.entries(value ?? {}));
  }

  refuse(message: string): never {
    return refuse(this.#policy, `${this.#place} ${message}`);
  }

  expect(...known: readonly string[]): void {
    for (const name of this.#members.keys()) {
      if (known.includes(name)) continue;
      const guess = nearest(name, known);
      this.refuse(
        `has an unknown member \`${name.slice(0, 100)}\`${guess === undefined ? '' : `; did you mean \`${guess}\`?`}`,
      );
    }
  }

  value(name: string): unknown {
    return this.#members.get(name);
  }

  asText(name: string, value: unknown): string {
    if (typeof value !== 'string' || value.trim() === '' || !value.isWellFormed() || value.length > 8192)
      return this.refuse(`needs text in \`${name}\``);
    return value;
  }

  text(name: string, pattern?: RegExp): string {
    const value = this.asText(name, this.#members.get(name)).trim();
    if (pattern !== undefined && !pattern.test(value))
      return this.refuse(`\`${name}\` must be lower-case words joined by \`-\``);
    return value;
  }

  optionalText(name: string): string | null {
    const value = this.#members.get(name);
    return value === undefined || value === null ? null : this.text(name);
  }

  list(name: string, most: number): readonly unknown[] {
    const value = this.#members.get(name);
    if (!Array.isArray(value)) return this.refuse(`needs a list in \`${name}\``);
    if (value.length > most) return this.refuse(`has more than ${most} entries in \`${name}\``);
    return value;
  }

  choice<const T extends string>(name: string, known: readonly T[]): T {
    return this.#choose(name, this.#members.get(name), known);
  }

  choices<const T extends string>(name: string, known: readonly T[]): readonly T[] | null {
    const value = this.#members.get(name);
    if (value === undefined || value === null) return null;
    return this.list(name, known.length).map((entry) => this.#choose(name, entry, known));
  }

  #choose<T extends string>(name: string, value: unknown, known: readonly T[]): T {
    const found = known.find((candidate) => candidate === value);
    if (found !== undefined) return found;
    const guess = typeof value === 'string' ? nearest(value, known) : undefined;
    return this.refuse(
      `\`${name}\` must be one of ${known.join(', ')}${guess === undefined ? '' : `; did you mean \`${guess}\`?`}`,
    );
  }
}
