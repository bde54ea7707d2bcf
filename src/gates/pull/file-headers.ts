import type { FastifyReply, FastifyRequest } from 'fastify';
import { parseRange, type RequestedRange } from '#lib/http-range.ts';
import type { ListedFile, Listing } from './ports.ts';

/** SHA-256 of an LFS file, git blob id otherwise, quoted. */
export function etagOf(file: ListedFile): string {
  return `"${file.lfsDigest === undefined ? file.gitOid : file.lfsDigest.slice('sha256:'.length)}"`;
}

/** Everything that clients read about a file, except status, length and range. */
export function setFileHeaders(reply: FastifyReply, listing: Listing, file: ListedFile): void {
  const etag = etagOf(file);
  reply
    .header('x-repo-commit', listing.commit)
    .header('etag', etag)
    .header('accept-ranges', 'bytes')
    .header('cache-control', 'private, no-cache')
    .header('content-type', 'application/octet-stream')
    .header('content-disposition', disposition(file.path))
    .header('x-content-type-options', 'nosniff')
    .header('content-security-policy', "default-src 'none'; sandbox");
  if (file.lfsDigest !== undefined) {
    reply.header('x-linked-etag', etag).header('x-linked-size', String(file.sizeBytes));
  }
}

/** The `Range` of a request as far as it counts: `If-Range` of another version makes it the whole file. */
export function rangeHeaderOf(request: FastifyRequest, file: ListedFile): string | undefined {
  const ifRange = request.headers['if-range'];
  return ifRange === undefined || ifRange === etagOf(file) ? request.headers.range : undefined;
}

export function rangeOf(request: FastifyRequest, file: ListedFile): RequestedRange {
  return parseRange(rangeHeaderOf(request, file), file.sizeBytes);
}

/** RFC 9110 §13.1.2: weak comparison, a list, or `*`. */
export function matchesEtag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((candidate) => {
    const text = candidate.trim();
    return text === '*' || text === etag || text === `W/${etag}`;
  });
}

/** RFC 6266: always a download, never shown; the name in ASCII and, where that loses something, in UTF-8. */
function disposition(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const ascii = name.replaceAll(/[^\w.\- ]/g, '_');
  if (ascii === name) return `attachment; filename="${ascii}";`;
  const encoded = encodeURIComponent(name.toWellFormed()).replaceAll(
    /['()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16)}`,
  );
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded};`;
}
