/** How fast one transfer goes, as somebody sees it who asks now and then. */
export interface Pace {
  readonly receivedBytes: number;
  readonly atMs: number;
  /** When bytes were last seen to come. */
  readonly movedAtMs: number;
  /** Smoothed over some seconds; undefined until two answers can be compared. */
  readonly bytesPerSecond: number | undefined;
}
export type Paces = ReadonlyMap<string, Pace>;

const smoothMs = 4000;

/** The paces after one more answer. A transfer that has fewer bytes than before began again. */
export function nextPaces(
  before: Paces,
  transfers: readonly { readonly key: string; readonly receivedBytes: number }[],
  atMs: number,
): Paces {
  return new Map(
    transfers.map(({ key, receivedBytes }) => [key, next(before.get(key), receivedBytes, atMs)]),
  );
}

function next(before: Pace | undefined, receivedBytes: number, atMs: number): Pace {
  if (before === undefined || receivedBytes < before.receivedBytes)
    return { receivedBytes, atMs, movedAtMs: atMs, bytesPerSecond: undefined };
  const passedMs = atMs - before.atMs;
  if (passedMs <= 0) return before;
  const rate = ((receivedBytes - before.receivedBytes) * 1000) / passedMs;
  const weight = 1 - Math.exp(-passedMs / smoothMs);
  return {
    receivedBytes,
    atMs,
    movedAtMs: receivedBytes > before.receivedBytes ? atMs : before.movedAtMs,
    bytesPerSecond:
      before.bytesPerSecond === undefined
        ? rate
        : before.bytesPerSecond + (rate - before.bytesPerSecond) * weight,
  };
}

/** Seconds until the rest is here at this pace; undefined where nothing can be said. */
export function secondsLeft(pace: Pace | undefined, sizeBytes: number): number | undefined {
  if (pace?.bytesPerSecond === undefined || pace.bytesPerSecond < 1) return undefined;
  return Math.max(0, sizeBytes - pace.receivedBytes) / pace.bytesPerSecond;
}

/** Seconds for which no byte has come; undefined while they come. */
export function secondsStill(pace: Pace | undefined): number | undefined {
  const still = pace === undefined ? 0 : Math.floor((pace.atMs - pace.movedAtMs) / 1000);
  return still >= 5 ? still : undefined;
}
