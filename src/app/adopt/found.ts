import type { BigIntStats } from 'node:fs';
import type { AdoptedModel, RiskKind, Severity } from '../routes/adoption-report.ts';

/** What must be the same for bytes to be the same without reading them again. */
export interface FileIdentity {
  readonly device: bigint;
  readonly inode: bigint;
  readonly sizeBytes: number;
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
}

/** A digest that the layout declares for a file: the name of its blob, or the etag beside it. */
export interface DeclaredDigest {
  readonly kind: 'sha256' | 'git';
  readonly hex: string;
}

/** One file of a model as the inventory met it; nothing of it was read yet. */
export interface FoundFile {
  /** Name inside the model. */
  readonly path: string;
  /** Way to the bytes below the real path of the root, no link on it. */
  readonly location: string;
  readonly identity: FileIdentity;
  readonly declared: DeclaredDigest | undefined;
}

/** Something that the inventory itself saw, about a place below the root. */
export interface Notice {
  readonly kind: RiskKind;
  readonly severity: Severity;
  readonly message: string;
  readonly remedy: string;
  readonly path: string;
}

export interface FoundModel {
  /** Real path of the root it was found below. */
  readonly root: string;
  readonly name: string;
  readonly layout: AdoptedModel['layout'];
  /** Below the root; empty for the root itself. */
  readonly location: string;
  readonly source: AdoptedModel['source'];
  readonly files: readonly FoundFile[];
  readonly notices: readonly Notice[];
}

/** Everything below the roots, before a byte was hashed. */
export interface Inventory {
  readonly roots: readonly string[];
  readonly models: readonly FoundModel[];
  /** Notices that belong to no model. */
  readonly notices: readonly (Notice & { readonly root: string })[];
  readonly partialBytes: number;
  readonly unreferencedBytes: number;
  /** What was not looked at. */
  readonly incompleteReasons: readonly string[];
}

export function identityOf(stats: BigIntStats): FileIdentity {
  return {
    device: stats.dev,
    inode: stats.ino,
    sizeBytes: Number(stats.size),
    modifiedNs: stats.mtimeNs,
    changedNs: stats.ctimeNs,
  };
}

/** One line of text for an identity: the key of the state file. */
export function keyOf({ device, inode, sizeBytes, modifiedNs, changedNs }: FileIdentity): string {
  return `${device}:${inode}:${sizeBytes}:${modifiedNs}:${changedNs}`;
}

/** 64 hex digits are the SHA-256 of an LFS file, 40 a git blob id; hub clients name blobs and write etags so. */
export function declaredBy(etag: string): DeclaredDigest | undefined {
  const hex = /^(?:W\/)?"?([0-9a-f]{64}|[0-9a-f]{40})"?$/.exec(etag)?.[1];
  return hex === undefined ? undefined : { kind: hex.length === 64 ? 'sha256' : 'git', hex };
}

/** A file that a broken transfer left behind. */
export function isPartialName(name: string): boolean {
  return /\.(?:incomplete|part|partial|crdownload|aria2)$|-partial(?:-\d+)?$/.test(name);
}

export function joined(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}
