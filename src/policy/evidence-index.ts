import { hexOf } from '#artifact/digest.ts';
import { predicateTypes } from '#evidence/predicates.ts';
import { systemNamespace } from '#evidence/statement.ts';
import { bomOf, observedOf, sandboxOf, scansOf } from './readings.ts';
import type { Digest } from '#artifact/digest.ts';
import type { RootName } from '#evidence/predicates.ts';
import type { VerifiedEvidence } from '#evidence/verify.ts';
import type { DecisionSubject, SubjectFile } from './decision.ts';
import type { BomReading, ObservedReading, SandboxReading, ScanReading } from './readings.ts';

/** A reading of a statement together with where it stands. */
export interface Proven<T> {
  readonly reading: T;
  readonly evidence: Digest;
  readonly logIndex: number;
}

/** The scans of one thing: of each producer the newest; the worst of them counts. */
export interface ScanFacts {
  readonly newest: readonly Proven<ScanReading>[];
}

/** Evidence that is the newest of its kind about its subject and cannot be read: never ignored. */
export interface Malformed {
  readonly evidence: Digest;
  readonly predicateType: string;
}

/** What was read about one thing, and what of it could not be read. */
export interface Read<T> {
  readonly value: T;
  readonly malformed: Malformed | undefined;
}

/** One statement about the subject, with those of its subjects that are meant. */
export interface About {
  readonly entry: VerifiedEvidence;
  readonly digests: readonly Digest[];
}

/** A record of where the artifact came from, with the paths that were observed with other bytes than it names. */
export interface Observed extends Proven<ObservedReading> {
  readonly differing: readonly string[];
}

export const rootNames: readonly RootName[] = ['all', 'loading', 'weights'];
export const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * What verified evidence says about one subject in one namespace, looked up by subject and kind. Every question about the
 * same subject shares one: a statement is read once, and only when it is asked for, so that a question about one file of
 * ten thousand costs what this file and the steering files cost. The subject and the evidence must not change afterwards.
 */
export class EvidenceIndex {
  readonly namespace: string;
  readonly subject: DecisionSubject;
  readonly evidence: readonly VerifiedEvidence[];
  /** Places in `subject.files`, by path, and of those that steer loading in their order. */
  readonly placeOf: ReadonlyMap<string, number>;
  readonly steering: readonly number[];
  readonly #bySubject = new Map<Digest, Map<string, VerifiedEvidence[]>>();
  readonly #byType = new Map<string, About[]>();
  readonly #results = new Map<Digest, ReadonlyMap<string, ScanReading> | undefined>();
  readonly #scans = {
    blob: new Map<Digest, Read<ScanFacts>>(),
    artifact: new Map<Digest, Read<ScanFacts>>(),
  };
  #observed: Read<readonly Observed[]> | undefined;
  #bom: Read<Proven<BomReading> | undefined> | undefined;
  #sandbox: Read<readonly Proven<SandboxReading>[]> | undefined;

  constructor(namespace: string, subject: DecisionSubject, evidence: readonly VerifiedEvidence[]) {
    this.namespace = namespace;
    this.subject = subject;
    this.evidence = evidence;
    this.placeOf = new Map(subject.files.map(({ path }, place) => [path, place]));
    this.steering = [...subject.files.entries()]
      .filter(([, { role }]) => role === 'steering')
      .map(([place]) => place);
    for (const about of relevant(namespace, subject, evidence)) this.#take(about);
  }

  /** Statements of one kind about the subject, in log order. */
  ofType(predicateType: string): readonly About[] {
    return this.#byType.get(predicateType) ?? [];
  }

  /** Asked-for files and all that steer loading, in the order of the subject; null asks for all. */
  needed(paths: readonly string[] | null): {
    readonly files: readonly { readonly file: SubjectFile; readonly asked: boolean }[];
    readonly unknownPaths: readonly string[];
  } {
    const { files } = this.subject;
    if (paths === null) return { files: files.map((file) => ({ file, asked: true })), unknownPaths: [] };
    const asked = new Set<number>();
    const unknownPaths = new Set<string>();
    for (const path of paths) {
      const place = this.placeOf.get(path);
      if (place === undefined) unknownPaths.add(path);
      else asked.add(place);
    }
    const others = [...asked].filter((place) => files[place]?.role !== 'steering');
    const places = others.length === 0 ? this.steering : [...this.steering, ...others].sort((a, b) => a - b);
    return {
      files: places.flatMap((place) => {
        const file = files[place];
        return file === undefined ? [] : [{ file, asked: asked.has(place) }];
      }),
      unknownPaths: [...unknownPaths],
    };
  }

  /** Scans of one thing under one scope. */
  scan(digest: Digest, scope: 'blob' | 'artifact'): Read<ScanFacts> {
    const known = this.#scans[scope].get(digest);
    if (known !== undefined) return known;
    const { value, malformed } = this.#all(digest, predicateTypes.scan, (entry) =>
      this.#resultOf(digest, entry),
    );
    const newest = new Map<string, Proven<ScanReading>>();
    for (const scan of value) {
      if (scan.reading.scope !== scope) continue;
      newest.delete(scan.reading.producer);
      newest.set(scan.reading.producer, scan);
    }
    const read = { value: { newest: [...newest.values()] }, malformed };
    this.#scans[scope].set(digest, read);
    return read;
  }

  /** Where the artifact came from, in log order. */
  observed(): Read<readonly Observed[]> {
    if (this.#observed !== undefined) return this.#observed;
    const { value, malformed } = this.#all(this.subject.artifact, predicateTypes.observed, ({ statement }) =>
      observedOf(statement.predicate),
    );
    const digests = new Map(this.subject.files.map(({ path, digest }) => [path, hexOf(digest)]));
    const observed = value.map((proven) => ({
      ...proven,
      differing: proven.reading.files
        .filter(({ path, sha256 }) => digests.get(path) !== sha256)
        .map(({ path }) => path),
    }));
    return (this.#observed = { value: observed, malformed });
  }

  /** The newest bill of materials of the artifact. */
  bom(): Read<Proven<BomReading> | undefined> {
    if (this.#bom !== undefined) return this.#bom;
    const { value, malformed } = this.#all(this.subject.artifact, predicateTypes.bom, ({ statement }) =>
      bomOf(statement.predicate),
    );
    return (this.#bom = { value: value.at(-1), malformed });
  }

  /** Runs of the artifact in the sandbox, in log order. */
  sandbox(): Read<readonly Proven<SandboxReading>[]> {
    return (this.#sandbox ??= this.#all(this.subject.artifact, predicateTypes.sandbox, ({ statement }) =>
      sandboxOf(statement.predicate),
    ));
  }

  #take(about: About): void {
    const { entry, digests } = about;
    const type = entry.statement.predicateType;
    const sameType = this.#byType.get(type);
    if (sameType === undefined) this.#byType.set(type, [about]);
    else sameType.push(about);
    for (const digest of digests) {
      let types = this.#bySubject.get(digest);
      if (types === undefined) this.#bySubject.set(digest, (types = new Map()));
      const list = types.get(type);
      if (list === undefined) types.set(type, [entry]);
      else list.push(entry);
    }
  }

  /** In log order. An unreadable statement counts as bad news unless a readable one came after it. */
  #all<T>(
    digest: Digest,
    predicateType: string,
    read: (entry: VerifiedEvidence) => T | undefined,
  ): Read<readonly Proven<T>[]> {
    const value: Proven<T>[] = [];
    let unreadable: VerifiedEvidence | undefined;
    for (const entry of this.#bySubject.get(digest)?.get(predicateType) ?? []) {
      const reading = read(entry);
      if (reading === undefined) unreadable = entry;
      else {
        unreadable = undefined;
        value.push({ reading, evidence: entry.envelopeDigest, logIndex: entry.logIndex });
      }
    }
    return {
      value,
      malformed:
        unreadable === undefined ? undefined : { evidence: unreadable.envelopeDigest, predicateType },
    };
  }

  /** A statement has results about up to a thousand blobs: it is read once. */
  #resultOf(digest: Digest, entry: VerifiedEvidence): ScanReading | undefined {
    if (!this.#results.has(entry.envelopeDigest))
      this.#results.set(entry.envelopeDigest, scansOf(entry.statement.predicate));
    return this.#results.get(entry.envelopeDigest)?.get(hexOf(digest));
  }
}

function relevant(
  namespace: string,
  subject: DecisionSubject,
  evidence: readonly VerifiedEvidence[],
): readonly About[] {
  const known = new Map<string, Digest>([[hexOf(subject.artifact), subject.artifact]]);
  for (const name of rootNames) {
    const root = subject.roots[name];
    if (root !== null) known.set(hexOf(root), root);
  }
  for (const { digest } of subject.files) known.set(hexOf(digest), digest);
  const seen = new Set<Digest>();
  const result: About[] = [];
  for (const entry of evidence) {
    if (seen.has(entry.envelopeDigest)) continue;
    seen.add(entry.envelopeDigest);
    const everywhere =
      entry.statement.predicateType === predicateTypes.revocation && entry.namespace === systemNamespace;
    if (entry.namespace !== namespace && !everywhere) continue;
    const digests = entry.statement.subject
      .map(({ digest }) => known.get(digest.sha256))
      .filter((digest) => digest !== undefined);
    if (digests.length > 0) result.push({ entry, digests });
  }
  return result.toSorted(
    (a, b) => a.entry.logIndex - b.entry.logIndex || order(a.entry.envelopeDigest, b.entry.envelopeDigest),
  );
}
