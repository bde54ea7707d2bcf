/** A file of the published log, by its C2SP tlog-tiles path (`checkpoint`, `tile/0/x001/234`, `tile/entries/000.p/7`). */
export interface LogFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/**
 * Where the log is published, as C2SP tlog-tiles lays it out. `write` resolves when every file is durable; each file
 * is old or new, never a mixture, and they become visible in the order given. Everything here can be derived again
 * from the database. `read` of a path that is not a log path is undefined.
 */
export interface LogFiles {
  read(path: string): Promise<Uint8Array | undefined>;
  write(files: readonly LogFile[]): Promise<void>;
  /** Every published path with its size, in any order. */
  list(): AsyncIterable<{ readonly path: string; readonly sizeBytes: number }>;
  /** Paths that are not there are passed over. */
  remove(paths: readonly string[]): Promise<void>;
}
