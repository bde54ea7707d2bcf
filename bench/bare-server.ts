import { createServer } from 'node:http';

/** The floor of HEAD: node:http alone, which parses the request and writes the same headers, whatever was asked. */
const headers = {
  'x-repo-commit': 'a'.repeat(40),
  etag: `"${'b'.repeat(64)}"`,
  'accept-ranges': 'bytes',
  'cache-control': 'private, no-cache',
  'content-type': 'application/octet-stream',
  'content-disposition': 'attachment; filename="model.safetensors";',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; sandbox",
  'x-linked-etag': `"${'b'.repeat(64)}"`,
  'x-linked-size': '4096',
  'content-length': '4096',
};
const server = createServer((_request, response) => response.writeHead(200, headers).end());
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  console.log(`listening on ${typeof address === 'object' && address !== null ? address.port : 0}`);
});
