const KiB = 1024;
const MiB = 1024 * KiB;

/**
 * Every bound that a reader of foreign bytes keeps (DESIGN §5 "Bounds"). Hitting one is a finding or a Fault, never a
 * crash and never "clean". Units are the last word of the name. Add yours here, with the reason where it is not plain.
 */
export const limits = {
  /** JSON that others send us: depth as CPython's default recursion guard, bytes as a large tokenizer file. */
  jsonDepth: 128,
  jsonBytes: 64 * MiB,
  /** A path as Linux takes it (PATH_MAX 4096) and one component (NAME_MAX 255), in UTF-8 bytes. */
  pathBytes: 4096,
  pathComponentBytes: 255,
  /** Files of one artifact. */
  artifactFiles: 100_000,
  /** Above this many small files a snapshot stays provisional (DESIGN §1a "Lazy snapshots"). */
  snapshotSmallFiles: 2_000,
  /** Subjects of one statement (DESIGN §1a). */
  statementSubjects: 1_000,
  /** One DSSE envelope. A BOM of 10 000 files is about 4 MiB. */
  envelopeBytes: 32 * MiB,
  signaturesPerEnvelope: 64,
  /** A signed note (C2SP signed-note says at least 16 signatures must be accepted). */
  noteBytes: 1 * MiB,
  noteSignatures: 64,
  /** Request bodies of our own API. */
  requestBytes: 1 * MiB,
  /** One scan of one file. */
  scanTimeMs: 120_000,
  scanMemoryMB: 1024,
  findingsPerFile: 1_000,
} as const;
