import { isDigest } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import { formatInstant } from '#lib/clock.ts';
import { actions, environments } from './policy.ts';
import { parseInstant } from './cel/time.ts';
import type { Digest } from '#artifact/digest.ts';
import type { Decision, Question, Reason } from './decision.ts';

const verdicts = ['allow', 'warn', 'deny'] as const;
const principals = ['anonymous', 'client', 'person', 'administrator'] as const;

const refuse = (what: string): never => {
  throw new Fault('statement.invalid', `the decision is not readable: ${what}`);
};

type Members = Readonly<Record<string, unknown>>;

function members(value: unknown, what: string, names: readonly string[]): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return refuse(what);
  const found = Object.keys(value);
  if (found.length !== names.length || !names.every((name) => Object.hasOwn(value, name)))
    return refuse(what);
  return value as Members;
}

const text = (value: unknown, what: string): string => (typeof value === 'string' ? value : refuse(what));
const digest = (value: unknown, what: string): Digest => (isDigest(value) ? value : refuse(what));

function choice<const T extends string>(value: unknown, known: readonly T[], what: string): T {
  return known.find((candidate) => candidate === value) ?? refuse(what);
}

function list<T>(value: unknown, what: string, read: (entry: unknown) => T): readonly T[] {
  return Array.isArray(value) ? value.map((entry: unknown) => read(entry)) : refuse(what);
}

function instant(value: unknown, what: string): string {
  const epochMs = parseInstant(value);
  if (epochMs === undefined || formatInstant(epochMs) !== value) return refuse(what);
  return value;
}

/**
 * A JSON value to a decision: every member of `Decision`, no other, each of its type. The verdict must be the worst
 * effect of the reasons. Fault `statement.invalid` otherwise.
 */
export function parseDecision(value: unknown): Decision {
  const found = members(value, 'members', [
    'version',
    'question',
    'verdict',
    'reasons',
    'evidenceUsed',
    'policyDigest',
    'trustDigest',
    'checkpoint',
    'at',
    'validUntil',
  ]);
  if (found['version'] !== 1) return refuse('version');
  const checkpoint = members(found['checkpoint'], 'checkpoint', ['size', 'rootHash']);
  const size = checkpoint['size'];
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return refuse('checkpoint');
  const verdict = choice(found['verdict'], verdicts, 'verdict');
  const reasons = list(found['reasons'], 'reasons', parseReason);
  const worst = reasons.reduce((sum, { effect }) => Math.max(sum, verdicts.indexOf(effect)), -1);
  if (verdicts[worst] !== verdict) return refuse('verdict does not follow from the reasons');
  return {
    version: 1,
    question: parseQuestion(found['question']),
    verdict,
    reasons,
    evidenceUsed: list(found['evidenceUsed'], 'evidenceUsed', (entry) => digest(entry, 'evidenceUsed')),
    policyDigest: digest(found['policyDigest'], 'policyDigest'),
    trustDigest: digest(found['trustDigest'], 'trustDigest'),
    checkpoint: { size, rootHash: text(checkpoint['rootHash'], 'checkpoint') },
    at: instant(found['at'], 'at'),
    validUntil: found['validUntil'] === null ? null : instant(found['validUntil'], 'validUntil'),
  };
}

function parseQuestion(value: unknown): Question {
  const found = members(value, 'question', [
    'principal',
    'action',
    'artifact',
    'files',
    'namespace',
    'environment',
  ]);
  return {
    principal: choice(found['principal'], principals, 'principal'),
    action: choice(found['action'], actions, 'action'),
    artifact: digest(found['artifact'], 'artifact'),
    files: found['files'] === null ? null : list(found['files'], 'files', (entry) => text(entry, 'files')),
    namespace: text(found['namespace'], 'namespace'),
    environment: choice(found['environment'], environments, 'environment'),
  };
}

function parseReason(value: unknown): Reason {
  const found = members(value, 'reason', [
    'rule',
    'effect',
    'message',
    'evidence',
    'missing',
    'who',
    'remedy',
  ]);
  return {
    rule: text(found['rule'], 'rule'),
    effect: choice(found['effect'], verdicts, 'effect'),
    message: text(found['message'], 'message'),
    evidence: list(found['evidence'], 'evidence', (entry) => digest(entry, 'evidence')),
    missing: found['missing'] === null ? null : text(found['missing'], 'missing'),
    who: text(found['who'], 'who'),
    remedy: text(found['remedy'], 'remedy'),
  };
}
