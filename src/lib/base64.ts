/** Standard base64 with padding (RFC 4648 §4). */
export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/**
 * Standard base64 with padding to bytes; undefined for anything that is not the one canonical spelling (other
 * alphabets, white space, missing padding, non-zero trailing bits), so that two texts never mean the same bytes.
 */
export function decodeBase64(text: string): Uint8Array | undefined {
  // The decoder passes over what is not base64; written again, such a text is another one.
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? new Uint8Array(bytes) : undefined;
}
