import { digestOf } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import { encodeJcs } from '#lib/jcs.ts';
import { parseJson } from '#lib/json.ts';
import { limits } from '#lib/limits.ts';
import { compileCel } from './cel/expression.ts';
import { bool, string } from './cel/types.ts';
import { parsePolicy, salvageAppliesTo } from './policy.ts';
import { artifactVariables, fileVariables } from './variables.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Expression } from './cel/expression.ts';
import type { AppliesTo, Policy, PolicyRule } from './policy.ts';

/** A policy document as people wrote it. `name` is what it is called where it does not say itself (its file name). */
export interface PolicySource {
  readonly name: string;
  readonly text: string;
}

/** A rule that can be asked, or one that cannot and therefore denies with the error as its reason. */
export interface CompiledRule {
  /** `<policy>.<rule>`: the name in decisions and waivers. */
  readonly name: string;
  readonly rule: PolicyRule;
  readonly require: Expression | undefined;
  readonly messageExpression: Expression | undefined;
  readonly error: string | null;
}

export interface CompiledPolicy {
  readonly name: string;
  readonly description: string;
  readonly appliesTo: AppliesTo;
  readonly rules: readonly CompiledRule[];
  /** Why the whole document could not be read: it then denies everything that it would apply to. */
  readonly error: string | null;
}

export interface PolicyProblem {
  readonly policy: string;
  readonly rule: string | null;
  readonly message: string;
}

/** Everything `decide` needs to know about the rules. `digest` is the SHA-256 of `canonical`. */
export interface CompiledPolicySet {
  readonly digest: Digest;
  /** JCS of the parsed set: the blob that a `policy` statement names and that an offline re-check compiles again. */
  readonly canonical: Uint8Array;
  readonly policies: readonly CompiledPolicy[];
  /** What is broken; each of these denies. Empty for a sound set. */
  readonly problems: readonly PolicyProblem[];
}

type Entry = { readonly policy: Policy } | { readonly broken: PolicySource };

/**
 * Policy documents to the one thing that decides. Never throws for what people wrote: a document that does not parse
 * and an expression that does not check become rules that deny, and `problems` lists them. White space, comments,
 * member order and the order of documents do not change the digest. Fault `limit.exceeded` above
 * `limits.policySetPolicies` documents.
 */
export function compilePolicySet(sources: readonly PolicySource[]): CompiledPolicySet {
  if (sources.length > limits.policySetPolicies)
    throw new Fault('limit.exceeded', `there are more than ${limits.policySetPolicies} policies`);
  const entries: Entry[] = [];
  const names = new Set<string>();
  for (const source of sources.toSorted((a, b) => order(a.name, b.name) || order(a.text, b.text))) {
    const entry = parseEntry(source);
    if ('policy' in entry && names.has(entry.policy.name)) {
      entries.push({ broken: { name: source.name.toWellFormed(), text: source.text.toWellFormed() } });
      continue;
    }
    if ('policy' in entry) names.add(entry.policy.name);
    entries.push(entry);
  }
  return compileEntries(entries);
}

function parseEntry(source: PolicySource): Entry {
  try {
    return { policy: parsePolicy(source.text, source.name) };
  } catch {
    return { broken: { name: source.name.toWellFormed(), text: source.text.toWellFormed() } };
  }
}

const refused = (): never => {
  throw new Fault('policy.invalid', 'these are not the canonical bytes of a policy set');
};

/** The canonical bytes back to the set. Fault `policy.invalid` for bytes that `compilePolicySet` does not write. */
export function decodePolicySet(canonical: Uint8Array): CompiledPolicySet {
  let value: unknown;
  try {
    value = parseJson(canonical);
  } catch {
    return refused();
  }
  const policies = member(value, 'policies');
  if (!Array.isArray(policies) || policies.length > limits.policySetPolicies) return refused();
  const entries = policies.map((entry): Entry => {
    const broken = member(entry, 'broken');
    const name = member(broken, 'name');
    const text = member(broken, 'text');
    if (typeof name === 'string' && typeof text === 'string') return { broken: { name, text } };
    return { policy: parsePolicy(JSON.stringify(member(entry, 'policy') ?? null), 'policy set') };
  });
  const set = compileEntries(entries);
  return Buffer.compare(set.canonical, canonical) === 0 ? set : refused();
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}

function compileEntries(entries: readonly Entry[]): CompiledPolicySet {
  const sorted = entries.toSorted((a, b) => order(nameOf(a), nameOf(b)));
  const canonical = encodeJcs({ version: 1, policies: sorted });
  const policies = sorted.map((entry) =>
    'policy' in entry ? compilePolicy(entry.policy) : brokenPolicy(entry.broken),
  );
  const problems = policies.flatMap((policy): readonly PolicyProblem[] =>
    policy.error === null
      ? policy.rules.flatMap((rule) =>
          rule.error === null ? [] : [{ policy: policy.name, rule: rule.name, message: rule.error }],
        )
      : [{ policy: policy.name, rule: null, message: policy.error }],
  );
  return { digest: digestOf(canonical), canonical, policies, problems };
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const nameOf = (entry: Entry): string => ('policy' in entry ? entry.policy.name : `~${entry.broken.name}`);

function brokenPolicy(source: PolicySource): CompiledPolicy {
  let error = `policy \`${source.name}\` has the name of another policy`;
  try {
    parsePolicy(source.text, source.name);
  } catch (thrown) {
    error = messageOf(thrown);
  }
  return { name: source.name, description: '', appliesTo: salvageAppliesTo(source.text), rules: [], error };
}

function compilePolicy(policy: Policy): CompiledPolicy {
  return {
    name: policy.name,
    description: policy.description,
    appliesTo: policy.appliesTo,
    rules: policy.rules.map((rule) => compileRule(policy.name, rule)),
    error: null,
  };
}

function compileRule(policyName: string, rule: PolicyRule): CompiledRule {
  const name = `${policyName}.${rule.id}`;
  const variables = rule.for === 'files' ? fileVariables : artifactVariables;
  try {
    return {
      name,
      rule,
      require: compileCel(rule.require, variables, bool),
      messageExpression:
        rule.messageExpression === null ? undefined : compileCel(rule.messageExpression, variables, string),
      error: null,
    };
  } catch (thrown) {
    return { name, rule, require: undefined, messageExpression: undefined, error: messageOf(thrown) };
  }
}

function messageOf(thrown: unknown): string {
  return (thrown instanceof Error ? thrown.message : String(thrown)).toWellFormed();
}
