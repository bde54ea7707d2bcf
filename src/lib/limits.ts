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
  /** A local tree: nesting (each level holds a descriptor open) and names in all, directories and ignored ones too. */
  treeDepth: 128,
  treeEntries: 200_000,
  /** `adopt`: names below all roots (each is held in memory, about 500 bytes), one manifest of an Ollama store. */
  adoptEntries: 1_000_000,
  ollamaManifestBytes: 1 * MiB,
  /** `adopt`: one line of its state file, and one report as a server takes it. */
  adoptStateLineBytes: 8 * MiB,
  adoptReportBytes: 32 * MiB,
  /** A manifest v1: 100 000 files with paths of about 400 bytes. */
  manifestBytes: 64 * MiB,
  /** Above this many small files a snapshot stays provisional (DESIGN §1a "Lazy snapshots"). */
  snapshotSmallFiles: 2_000,
  /** Subjects of one statement (DESIGN §1a). */
  statementSubjects: 1_000,
  /** One DSSE envelope. A BOM of 10 000 files is about 4 MiB. */
  envelopeBytes: 32 * MiB,
  signaturesPerEnvelope: 64,
  /** An exported decision: the envelopes of one artifact. */
  bundleBytes: 512 * MiB,
  /** A signed note (C2SP signed-note says at least 16 signatures must be accepted). */
  noteBytes: 1 * MiB,
  noteSignatures: 64,
  /** Path and query of one request to the hub protocol: a path of `pathBytes` with every byte escaped, and a query. */
  requestTargetBytes: 3 * 4096 + 4096,
  /** Our words in `X-Error-Message`: clients and proxies keep a header line of 4 KiB. */
  headerMessageBytes: 2_000,
  /** One JSON answer of an upstream hub: a revision that lists 100 000 files. */
  hubAnswerBytes: 32 * MiB,
  /** Requests that wait for their turn at one upstream host, in each lane. */
  upstreamWaiting: 10_000,
  /** Incidents of the upstream that are recorded in an hour; what is above is counted only. */
  incidentsPerHour: 200,
  /** Paths of one `paths-info` request. */
  pathsPerRequest: 10_000,
  /** Request bodies of our own API. */
  requestBytes: 1 * MiB,
  /** One scan of one file. */
  scanTimeMs: 120_000,
  scanMemoryMB: 1024,
  findingsPerFile: 1_000,
  /**
   * A triage over the network: bytes and requests of one file (the largest tokenizers have 33 MiB) and of a repository,
   * requests at the same time, how long it may take, and what it keeps of files that are read again for their path.
   */
  triageFileBytes: 40 * MiB,
  triageFileRequests: 256,
  triageBytes: 1024 * MiB,
  triageRequests: 10_000,
  triageConcurrentRequests: 8,
  triageTimeMs: 180_000,
  triageKeptBytes: 64 * MiB,
  /** Pickle machine: opcodes of one file, values on stack and memo, one text line, what containers remember. */
  pickleOpcodes: 200_000_000,
  pickleValues: 8_000_000,
  pickleCalls: 1_000_000,
  pickleLineBytes: 16 * MiB,
  pickleRetainedItems: 250_000,
  /** Streams in one file, and pickles hidden inside strings: how deep, how many, how long once decoded. */
  pickleStreams: 10_000,
  pickleTrailingOpcodes: 10_000_000,
  pickleImports: 100_000,
  pickleNestedDepth: 4,
  pickleNestedCount: 2_000,
  pickleNestedBytes: 32 * MiB,
  /** Zip: entries per enumeration, one inflated member, all of them, the ratio that deflate can reach honestly. */
  zipEntries: 100_000,
  zipNameBytes: 4096,
  zipMemberBytes: 256 * MiB,
  zipTotalBytes: 2048 * MiB,
  zipRatio: 1_032,
  /** Values of one JSON document: a tokenizer of 500 000 merges has about 2 million. */
  jsonValues: 10_000_000,
  /** The bound of the reference implementation of safetensors. */
  safetensorsHeaderBytes: 100_000_000,
  tensorDimensions: 64,
  /** GGUF: llama.cpp knows 4 dimensions and names below 64 bytes; texts are chat templates at most. */
  ggufTensors: 100_000,
  ggufValues: 100_000,
  ggufKeyBytes: 65_535,
  ggufTextBytes: 1 * MiB,
  ggufArrayDepth: 8,
  ggufDimensions: 4,
  /** `delivery.yaml`: the file, its rules, and the globs or formats of one of them. */
  deliveryBytes: 1 * MiB,
  deliveryRules: 1_000,
  /** The schema of a SQLite database: its pages, its rows, the statement of one. */
  sqliteSchemaPages: 10_000,
  sqliteSchemaRows: 20_000,
  sqliteSchemaBytes: 4 * MiB,
  /** A Jinja template in a file of its own. */
  templateBytes: 1 * MiB,
  /** Tokens of one template and its nesting of brackets: large chat templates have 10 000 and 10. */
  templateTokens: 200_000,
  templateDepth: 200,
  /** A YAML file that may steer loading; its parser holds about 100 bytes for each. */
  yamlBytes: 1 * MiB,
  /** YAML at the top of a model card; cards with many evaluation results reach 300 KiB. */
  frontMatterBytes: 1 * MiB,
  /**
   * Policies (docs/reference/policies.md "Bounds"): one document, one expression, its nesting, the steps that one rule
   * and one whole decision may take (Kubernetes' CEL limits are the model: 1 000 000 per call, 10 000 000 per policy).
   */
  policyBytes: 256 * KiB,
  policyRules: 200,
  policySetPolicies: 100,
  policyExpressionBytes: 4096,
  policyExpressionDepth: 48,
  policyMacroDepth: 4,
  policyListLiteral: 256,
  policyRuleSteps: 1_000_000,
  policyDecisionSteps: 20_000_000,
  /** Reasons of one rule that name a file; the rest is counted. */
  reasonsPerRule: 20,
  evidencePerReason: 100,
  waiverDays: 90,
  /** One answer of a source that is read into memory: an S3 listing page, an OCI manifest, a token, an LFS batch. */
  sourceAnswerBytes: 16 * MiB,
  /** URLs of one intake, layers of one OCI manifest, uploads of a namespace that wait for their files. */
  sourceUrls: 1_000,
  ociLayers: 10_000,
  openUploads: 100,
  /** Source text as callers write it. */
  sourceTextBytes: 8 * KiB,
  /** The most that git may hold in memory while it reads a pack, and how long one intake may take. */
  gitMemoryBytes: 4096 * MiB,
  sourceTimeMs: 12 * 3600 * 1000,
  /** One run of the sandbox: output of the loader, files shown one by one, library calls, events in evidence. */
  sandboxOutputBytes: 4 * MiB,
  sandboxFiles: 2_000,
  sandboxSteps: 64,
  sandboxEvents: 200,
  /** Outputs of one library call that the baseline covers, and those that evidence lists. */
  sandboxOutputs: 5_000,
  sandboxListedOutputs: 200,
  /** A tar archive that is read into memory, such as an offline bundle. */
  tarBytes: 512 * MiB,
  tarEntries: 250_000,
} as const;
