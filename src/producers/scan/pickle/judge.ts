import type { NestedPickle, PickleReading } from '#artifact/formats/pickle/reading.ts';
import { printable, renderCall, renderName, renderValue } from '#artifact/formats/pickle/render.ts';
import {
  type CallNode,
  type ImportNode,
  isNode,
  type Place,
  type Value,
} from '#artifact/formats/pickle/values.ts';
import type { Finding } from '#evidence/predicates.ts';
import { limits } from '#lib/limits.ts';
import { argumentProblem, carriedCall } from './arguments.ts';
import { executes } from './executing.ts';
import { isNumpyMaker, numpyProblem } from './numpy-memory.ts';
import { type Review, reviewOf } from './reviewed.ts';
import { type PickleRuleId, pickleRules } from './rules.ts';

export interface PickleContext {
  /** The member of the container that holds the pickle. */
  readonly member?: string;
  /** Persistent ids are the container's own and are checked there. */
  readonly persistentIdsKnown?: true;
  /** Bytes after the pickle are the container's own and are accounted for there. */
  readonly trailingKnown?: true;
}

interface Docket {
  readonly reading: PickleReading;
  readonly context: PickleContext;
  readonly findings: Finding[];
  /** How often each (rule, subject) was said: the second time is enough. */
  readonly said: Map<string, number>;
  readonly reviews: Map<ImportNode, Review | undefined>;
  readonly prefix: string;
}

const saidAtMost = 3;

function say(docket: Docket, rule: PickleRuleId, place: Place, message: string): void {
  const { context, prefix } = docket;
  const { severity, remedy } = pickleRules[rule];
  keep(docket, {
    ruleId: rule,
    severity,
    message: prefix + message,
    location: {
      ...(context.member === undefined ? {} : { member: context.member }),
      offset: place.offset,
      opcode: place.opcode,
    },
    remedy,
  });
}

/** Past the limit a critical finding takes the place of a lesser one, so that the verdict stays what it is. */
function keep({ findings }: Docket, finding: Finding): void {
  if (findings.length < limits.findingsPerFile) findings.push(finding);
  else if (finding.severity === 'critical') {
    const lesser = findings.findLastIndex(({ severity }) => severity !== 'critical');
    if (lesser >= 0) findings[lesser] = finding;
  }
}

/** The same about the same import a few times only; rendering a million calls would be a bomb of its own. */
function sayOnce(
  docket: Docket,
  rule: PickleRuleId,
  subject: Place,
  said: { at: Place; message: () => string },
): void {
  const key = `${rule}\n${subject.stream}\n${subject.offset}`;
  const count = docket.said.get(key) ?? 0;
  docket.said.set(key, count + 1);
  if (count < saidAtMost) say(docket, rule, said.at, said.message());
}

function review(docket: Docket, node: ImportNode): Review | undefined {
  if (docket.reviews.has(node)) return docket.reviews.get(node);
  const found =
    node.mappedModule === undefined || node.mappedName === undefined
      ? undefined
      : reviewOf(node.mappedModule, node.mappedName);
  docket.reviews.set(node, found);
  return found;
}

function deniedOutright(node: ImportNode): boolean {
  const { module = '', name = '', mappedModule = '', mappedName = '' } = node;
  return executes(mappedModule, mappedName) || (module !== mappedModule && executes(module, name));
}

function judgeImport(docket: Docket, node: ImportNode, called: ReadonlySet<ImportNode>): void {
  const name = renderName(node);
  if (node.computed !== undefined) {
    say(docket, 'PKL-NAME-COMPUTED', node, `would import a name that is computed while loading: \`${name}\``);
    return;
  }
  const found = review(docket, node);
  if (found !== undefined) {
    if (found.role === 'function' && node.usedAsValue !== undefined) {
      judgeFunctionAsData(docket, node, name);
    }
    return;
  }
  if (node.mappedName?.includes('.') === true) {
    say(docket, 'PKL-NAME-DOTTED', node, `would import \`${name}\` by walking through its attributes`);
  } else if (called.has(node)) return;
  else if (deniedOutright(node)) say(docket, 'PKL-IMPORT-DENIED', node, `would import \`${name}\``);
  else
    say(docket, 'PKL-IMPORT-UNREVIEWED', node, `would import \`${name}\`, which is not on the reviewed list`);
}

/** Rebuild functions stand as data only in the first argument of a carrier, where they are judged as called. */
function judgeFunctionAsData(docket: Docket, node: ImportNode, name: string): void {
  const carried = docket.reading.calls.some((call) => {
    if (!isNode(call.callee) || call.callee.kind !== 'import') return false;
    return review(docket, call.callee)?.call === 'carries-call' && carriedCall(call)?.callee === node;
  });
  if (carried) return;
  say(
    docket,
    'PKL-FUNCTION-AS-DATA',
    node.usedAsValue ?? node,
    `would pass the function \`${name}\` on as data`,
  );
}

function judgeCall(docket: Docket, call: CallNode): void {
  const { callee } = call;
  if (!isNode(callee) || callee.kind !== 'import') {
    const message = (): string => `would call something made while loading: \`${renderCall(call)}\``;
    const made = isNode(callee) && 'offset' in callee && 'stream' in callee ? callee : call;
    if (isNode(callee) && callee.kind === 'extension') return;
    sayOnce(docket, 'PKL-CALL-COMPUTED', made, { at: call, message });
    return;
  }
  if (callee.computed !== undefined) return;
  const found = review(docket, callee);
  if (found === undefined) {
    const rule = deniedOutright(callee) ? 'PKL-CALL-DENIED' : 'PKL-CALL-UNREVIEWED';
    const note = rule === 'PKL-CALL-DENIED' ? '' : ', which is not on the reviewed list';
    sayOnce(docket, rule, callee, { at: call, message: () => `would call \`${renderCall(call)}\`${note}` });
    return;
  }
  const problem = argumentProblem(call, found, {
    reviewOf: (node) => review(docket, node),
    reading: docket.reading,
  });
  if (problem !== undefined) {
    const message = (): string => `would call \`${renderCall(call)}\`: ${problem}`;
    sayOnce(docket, 'PKL-CALL-ARGUMENTS', callee, { at: call, message });
  }
  const fourth = isNode(call.args) && call.args.kind === 'tuple' ? call.args.items[3] : undefined;
  if (found.call === 'sets-fourth' || found.call === 'carries-call') judgeState(docket, call, fourth ?? null);
  if (found.call === 'carries-call') {
    const carried = carriedCall(call);
    if (carried !== undefined) judgeCall(docket, carried);
  }
  const memory = numpyProblem(call);
  if (memory !== undefined) {
    const message = (): string => `would call \`${renderCall(call)}\`: ${memory}`;
    sayOnce(docket, 'PKL-NUMPY-MEMORY', callee, { at: call.state ?? call, message });
  }
  judgeResult(docket, call, found);
}

/** State and items given to what a reviewed call returned. */
function judgeResult(docket: Docket, call: CallNode, found: Review): void {
  if (!isNode(call.callee) || call.callee.kind !== 'import') return;
  const { callee } = call;
  const name = renderName(callee);
  const built = found.call === 'builds-first' ? firstImport(call) : undefined;
  const allowed = (built === undefined ? undefined : review(docket, built)) ?? found;
  if (call.state !== undefined) {
    if (!found.state && !allowed.state) {
      const message = (): string => `would set the state of what \`${name}\` returns`;
      sayOnce(docket, 'PKL-STATE-DENIED', callee, { at: call.state, message });
    }
    judgeState(docket, call.state, call.state.value);
  }
  const filled = call.items ?? call.appended;
  if (filled !== undefined && !found.items && !allowed.items) {
    const message = (): string => `would put items into what \`${name}\` returns`;
    sayOnce(docket, 'PKL-STATE-DENIED', callee, { at: filled, message });
  }
}

function firstImport(call: CallNode): ImportNode | undefined {
  const first = isNode(call.args) && call.args.kind === 'tuple' ? call.args.items[0] : undefined;
  return first !== undefined && isNode(first) && first.kind === 'import' ? first : undefined;
}

/** Attributes that the unpickler or the interpreter calls when it finds them on an instance. */
function judgeState(docket: Docket, place: Place, state: Value): void {
  if (!isNode(state)) return;
  if (state.kind === 'tuple' && state.items.length === 2) {
    for (const part of state.items) judgeState(docket, place, part);
  }
  if (state.kind !== 'dict') return;
  for (let index = 0; index < state.items.length; index += 2) {
    const key = state.items[index];
    const special =
      typeof key === 'string' && (/^__.*__$/.test(key) || ['append', 'extend', 'add'].includes(key));
    if (special) {
      const value = renderValue(state.items[index + 1] ?? null);
      say(
        docket,
        'PKL-STATE-SPECIAL',
        place,
        `would set the attribute \`${printable(key)}\` to \`${value}\``,
      );
    }
  }
}

function judgeMutations(docket: Docket): void {
  for (const mutation of docket.reading.mutations) {
    const { target, via } = mutation;
    if (!isNode(target)) continue;
    if (target.kind === 'call') {
      if (isNumpyMaker(target.callee)) {
        const message = (): string => `would set the state of \`${renderCall(target)}\` once more`;
        sayOnce(docket, 'PKL-NUMPY-MEMORY', target, { at: mutation, message });
      }
      judgeState(docket, mutation, mutation.value);
      continue;
    }
    if (target.kind === 'extension') continue;
    const subject = 'offset' in target && 'stream' in target ? target : mutation;
    sayOnce(docket, 'PKL-MUTATION', subject, {
      at: mutation,
      message: () =>
        `would change \`${renderValue(target)}\` by ${via} of \`${renderValue(mutation.value)}\``,
    });
  }
}

function judgeStructure(docket: Docket): void {
  const { reading, context } = docket;
  for (const { message, ...place } of reading.divergences) {
    say(docket, 'PKL-DIVERGENCE', place, `readers of this pickle part here: ${message}`);
  }
  for (const node of reading.extensions) {
    sayOnce(docket, 'PKL-EXTENSION', node, {
      at: node,
      message: () =>
        `would import whatever the extension code ${node.code} stands for in the loading process`,
    });
  }
  const [persistent] = reading.persistentIds;
  if (persistent !== undefined && context.persistentIdsKnown === undefined) {
    const id = renderValue(persistent.id);
    say(docket, 'PKL-PERSISTENT', persistent, `would ask the loader for the object \`${id}\``);
  }
  if (reading.expansion !== undefined) {
    const objects = reading.expansion.objects.toPrecision(2);
    say(docket, 'PKL-EXPANSION', reading.expansion, `would make a tree of ${objects} objects`);
  }
  for (const [index, { ending, failure, end, opcodes }] of reading.streams.entries()) {
    const broken = { offset: end, opcode: opcodes, stream: index };
    if (ending === 'stop' && failure === undefined) continue;
    const what = failure?.message ?? 'a limit of this scanner was reached';
    say(docket, 'PKL-TRUNCATED', failure ?? broken, `is broken here: ${what}`);
  }
  if (reading.trailing?.zero === false && context.trailingKnown === undefined) {
    const { offset, lengthBytes } = reading.trailing;
    const place = { offset, opcode: 0, stream: reading.streams.length };
    say(docket, 'PKL-TRAILING', place, `${lengthBytes} bytes follow that belong to no pickle`);
  }
}

function judgeNested(docket: Docket, nested: NestedPickle): void {
  const { context } = docket;
  const where = nested.encoding === 'raw' ? '' : ` in ${nested.encoding}`;
  const prefix = `${docket.prefix}the pickle inside a string${where} at byte ${nested.offset} `;
  const inner = judge(nested.reading, { persistentIdsKnown: true, trailingKnown: true }, prefix);
  for (const finding of inner) {
    const { offset, opcode } = nested;
    const location = { ...(context.member === undefined ? {} : { member: context.member }), offset, opcode };
    keep(docket, { ...finding, location });
  }
}

function judge(reading: PickleReading, context: PickleContext, prefix: string): readonly Finding[] {
  const docket: Docket = { reading, context, findings: [], said: new Map(), reviews: new Map(), prefix };
  const called = new Set<ImportNode>();
  for (const { callee } of reading.calls) if (isNode(callee) && callee.kind === 'import') called.add(callee);
  for (const call of reading.calls) judgeCall(docket, call);
  for (const node of reading.imports) judgeImport(docket, node, called);
  judgeMutations(docket);
  judgeStructure(docket);
  for (const nested of reading.nested) judgeNested(docket, nested);
  return docket.findings;
}

/**
 * What is wrong with a pickle, most certain first within each kind. Default deny: an import or call is fine only where
 * `reviewed.ts` says so and why. No findings and an empty `reading.incomplete` mean clean. At most
 * `limits.findingsPerFile`; the verdict does not depend on which are cut.
 */
export function judgePickle(reading: PickleReading, context: PickleContext = {}): readonly Finding[] {
  return judge(reading, context, '');
}
