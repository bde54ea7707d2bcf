import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '#lib/fault.ts';
import { parseListing } from './listing.ts';

const page = (inside: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inside}</ListBucketResult>`;
const object = (key: string, size = '3'): string =>
  `<Contents><Key>${key}</Key><ETag>&quot;abc&quot;</ETag><Size>${size}</Size></Contents>`;

test('keys, sizes and tags, escaped twice', () => {
  const { objects, next } = parseListing(
    page(
      `${object('a%2Fb+c%26amp%3B.txt')}${object('%C3%A9&amp;&#65;&#x42;')}<IsTruncated>false</IsTruncated>`,
    ),
  );
  assert.deepEqual(
    objects.map(({ key }) => key),
    ['a/b c&amp;.txt', 'é&AB'],
  );
  assert.deepEqual(objects[0]?.etag, '"abc"');
  assert.equal(next, undefined);
});

test('where the listing goes on', () => {
  const more = '<IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b==</NextContinuationToken>';
  assert.equal(parseListing(page(object('a') + more)).next, 'a&b==');
  // What stands inside an object is not about the listing.
  const planted = '<Contents><Key>a</Key><Size>1</Size><IsTruncated>true</IsTruncated></Contents>';
  assert.equal(parseListing(page(planted)).next, undefined);
});

for (const [name, text] of Object.entries({
  'no listing': '<html></html>',
  'an error': '<Error><Code>AccessDenied</Code></Error>',
  'a document type': `<!DOCTYPE x [<!ENTITY a "b">]>${page('')}`,
  'a comment that hides an object': page(`<!--${object('a')}-->`),
  'a size that is none': page(object('a', '-1')),
  'a size beyond numbers': page(object('a', '9'.repeat(20))),
  'no key': page('<Contents><Size>1</Size></Contents>'),
  'a bad escape': page(object('%zz')),
  'half of a surrogate pair': page(object('&#xd800;')),
  'a next page without a token': page(`${object('a')}<IsTruncated>true</IsTruncated>`),
})) {
  test(`is refused: ${name}`, () => {
    assert.throws(
      () => parseListing(text),
      (error: unknown) => error instanceof Fault && error.code === 'upstream.lied',
    );
  });
}
