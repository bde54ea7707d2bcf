import type { ByteSource } from '#artifact/blob-store.ts';
import { formats, readFormats, type FormatId, type Reading } from '#artifact/formats/formats.ts';
import { readGguf } from '#artifact/formats/gguf/read-gguf.ts';
import { readPickleFacts } from '#artifact/formats/pickle-reading.ts';
import { detectText } from '#artifact/formats/text/read-text.ts';
import { isNotRead } from '#artifact/sparse-source.ts';
import { limits } from '#lib/limits.ts';
import { fetchMembers, readObjectPickles } from './triage-archive.ts';
import { judge, type Judgement } from './finding.ts';
import { judgeReadings } from './scan-blob.ts';

const headBytes = 4096;
/** More than padding has: alignments are 32, rarely more, and readers of headers ask for more at once. */
const paddingBytes = 4096;
const archives: ReadonlySet<FormatId> = new Set<FormatId>(['pytorch-zip', 'zip']);
/** Of a text that is too large to be fetched. */
const textBytes = 256 * 1024;

/**
 * The scan of a blob that is elsewhere: the readers and rules of `scanBlob`, where a reader that asks for more than the
 * source gives says so instead of ending everything. What it had seen until then is judged all the same. `requests`:
 * how many the members of an archive may cost. Throws only for failures that are not bounds.
 */
export async function triageBlob(source: ByteSource, requests: number): Promise<Judgement> {
  const text = source.sizeBytes > limits.triageFileBytes && detectText(await source.read(0, headBytes));
  if (text) return triageBeginning(source);
  const tracked = trackFailures(source);
  const reasons = new Set<string>();
  const partial = new Set<FormatId>();
  const fetched = await fetchMembers(tracked.source, requests);
  if (fetched.kind === 'too-many') reasons.add(fetched.reason);
  const spread = fetched.kind === 'too-many';
  const readings = await readFormats(
    tracked.source,
    spread ? formats.map(({ id }) => id).filter((id) => !archives.has(id)) : undefined,
    async (format, thrown) => {
      if (!isNotRead(thrown)) throw thrown;
      reasons.add(`as ${format}: ${thrown.message}`);
      const failedAt = tracked.takeFailure();
      const seen = await readWhatIsHere(format, source, failedAt);
      if (seen !== undefined) partial.add(format);
      return seen;
    },
  );
  const objects = spread ? await readWhatIsHere('pytorch-zip', source, 0) : undefined;
  const judged = judgeReadings(objects === undefined ? readings : [objects, ...readings]);
  const findings = partial.has('pickle')
    ? judged.findings.filter(({ ruleId }) => !aboutTheEnd.has(ruleId))
    : judged.findings;
  return judge(judged.formats, findings, [...judged.incompleteReasons, ...reasons]);
}

/** Rules that say how a pickle ends, which is not known of one that was cut here. */
const aboutTheEnd: ReadonlySet<string> = new Set(['PKL-TRUNCATED', 'PKL-TRAILING', 'PKL-DIVERGENCE']);

async function triageBeginning(source: ByteSource): Promise<Judgement> {
  const judged = judgeReadings(await readFormats(cut(source, textBytes), ['text', 'pickle']));
  const kept = judged.findings.filter(({ ruleId }) => !aboutTheEnd.has(ruleId));
  const reason = `not read: a text of ${source.sizeBytes} bytes, of which a triage reads the first ${textBytes}`;
  return judge(judged.formats, kept, [reason]);
}

/** What the bytes at hand say about the format whose reader wanted more. */
async function readWhatIsHere(
  format: FormatId,
  source: ByteSource,
  failedAt: number,
): Promise<Reading | undefined> {
  try {
    if (format === 'pytorch-zip') {
      const pytorch = await readObjectPickles(source);
      return pytorch === undefined
        ? undefined
        : { format, facts: { pytorch, flaws: [], incompleteReasons: pytorch.incomplete } };
    }
    if (format === 'gguf') {
      const facts = await readGguf(withoutPadding(source));
      return { format, facts };
    }
    if (format !== 'pickle') return undefined;
    const facts = await readPickleFacts(cut(source, failedAt), undefined);
    return facts === undefined ? undefined : { format, facts };
  } catch (thrown) {
    if (isNotRead(thrown)) return undefined;
    throw thrown;
  }
}

function cut(source: ByteSource, sizeBytes: number): ByteSource {
  const end = Math.min(source.sizeBytes, sizeBytes);
  return {
    sizeBytes: end,
    read: (offset, lengthBytes) => source.read(offset, Math.max(0, Math.min(lengthBytes, end - offset))),
  };
}

/** Padding between tensors that cannot be had reads as zeros, so that the header before it is judged. */
function withoutPadding(source: ByteSource): ByteSource {
  return {
    sizeBytes: source.sizeBytes,
    read: async (offset, lengthBytes) => {
      try {
        return await source.read(offset, lengthBytes);
      } catch (thrown) {
        if (!isNotRead(thrown) || lengthBytes >= paddingBytes) throw thrown;
        return new Uint8Array(Math.min(lengthBytes, source.sizeBytes - offset));
      }
    },
  };
}

/** Remembers where the first read failed since it was asked last. */
function trackFailures(source: ByteSource): { readonly source: ByteSource; takeFailure(): number } {
  let failedAt: number | undefined;
  return {
    source: {
      sizeBytes: source.sizeBytes,
      read: async (offset, lengthBytes) => {
        try {
          return await source.read(offset, lengthBytes);
        } catch (thrown) {
          failedAt ??= offset;
          throw thrown;
        }
      },
    },
    takeFailure: () => {
      const at = failedAt ?? 0;
      failedAt = undefined;
      return at;
    },
  };
}
