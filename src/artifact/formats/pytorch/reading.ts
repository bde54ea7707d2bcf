import type { PickleReading } from '#artifact/formats/pickle/reading.ts';
import type { ZipAnomaly } from '#lib/zip.ts';

/** A storage that a pickle of the file refers to by persistent id. */
export interface TorchStorage {
  readonly key: string;
  /** Element type, e.g. `FloatStorage`. */
  readonly type: string;
  readonly elements: number;
  /** Bytes of one element; undefined for a type that is not known. */
  readonly elementBytes: number | undefined;
  /** Where its bytes stand in the file; undefined where the file has none. */
  readonly offset: number | undefined;
  readonly lengthBytes: number | undefined;
}

export interface TorchPickle {
  /** Zip member, or undefined in a legacy file. */
  readonly member: string | undefined;
  /** Does `torch.load` read it, or does it only stand in the file? */
  readonly role: 'object' | 'other';
  readonly reading: PickleReading;
}

export interface TorchProblem {
  readonly kind:
    | 'storage-missing'
    | 'storage-size'
    | 'storage-id'
    | 'member-unexpected'
    | 'member-unreadable'
    | 'several-objects'
    | 'trailing';
  readonly member: string | undefined;
  readonly offset: number | undefined;
  readonly message: string;
}

/** A file of `torch.save`, with everything in it accounted for. */
export interface PyTorchReading {
  readonly form: 'zip' | 'legacy';
  readonly pickles: readonly TorchPickle[];
  readonly storages: readonly TorchStorage[];
  /** Zip only: where readers of the archive could part. */
  readonly anomalies: readonly ZipAnomaly[];
  readonly problems: readonly TorchProblem[];
  /** It holds TorchScript code (`code/`, `constants.pkl`), which is not read. */
  readonly torchScript: boolean;
  readonly incomplete: readonly string[];
}
