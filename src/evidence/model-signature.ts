import { createHash } from 'node:crypto';
import { hexOf, type Digest } from '#artifact/digest.ts';
import { Fault } from '#lib/fault.ts';
import { limits } from '#lib/limits.ts';
import { compareCodePoints, parsePathName } from '#lib/path-name.ts';
import { predicateTypes } from './predicates.ts';
import { statementType, type Statement } from './statement.ts';

/** A file of the model as OMS v1.0 names it: relative path with `/`. */
export interface SignedFile {
  readonly path: string;
  readonly digest: Digest;
}

/** Predicate of `https://model_signing/signature/v1.0` with the `files` method. */
export interface ModelSignaturePredicate {
  readonly resources: readonly {
    readonly name: string;
    readonly algorithm: 'sha256';
    readonly digest: string;
  }[];
  readonly serialization: {
    readonly method: 'files';
    readonly hash_type: 'sha256';
    readonly allow_symlinks: false;
    readonly ignore_paths: readonly string[];
  };
}

/**
 * The OMS v1.0 statement over a model's files, to be placed in a namespace and signed by the release key: the same
 * files are always the same bytes. Resources stand in code-point order, as the specification asks and Go's verifier
 * insists; the one subject is SHA-256 over their concatenated raw digests in that order. Says nothing of the manifest
 * digest: a verifier compares files. Faults `artifact.empty`, `artifact.too-large`, `path.invalid`, `path.collision`.
 */
export function makeModelSignatureStatement(
  name: string,
  files: readonly SignedFile[],
  ignorePaths: readonly string[] = [],
): Statement<ModelSignaturePredicate> {
  if (files.length === 0) throw new Fault('artifact.empty', 'a model without files cannot be signed');
  if (files.length > limits.artifactFiles) {
    throw new Fault('artifact.too-large', `a model has at most ${limits.artifactFiles} files`);
  }
  const sorted = [...files].sort((left, right) => compareCodePoints(left.path, right.path));
  const root = createHash('sha256');
  const resources = sorted.map(({ path, digest }, at) => {
    if (path === sorted[at - 1]?.path) throw new Fault('path.collision', `the file \`${path}\` stands twice`);
    root.update(hexOf(digest), 'hex');
    return { name: parsePathName(path), algorithm: 'sha256' as const, digest: hexOf(digest) };
  });
  return {
    _type: statementType,
    subject: [{ name, digest: { sha256: root.digest('hex') } }],
    predicateType: predicateTypes.modelSignature,
    predicate: {
      resources,
      serialization: {
        method: 'files',
        hash_type: 'sha256',
        allow_symlinks: false,
        ignore_paths: [...ignorePaths].sort(compareCodePoints),
      },
    },
  };
}
