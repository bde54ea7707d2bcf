import type { CollectSource } from '#artifact/source.ts';
import { collectGit } from './git/git.ts';
import { collectHttps } from './https.ts';
import { collectOci } from './oci/oci.ts';
import { collectS3 } from './s3/s3.ts';
import type { Site } from './site.ts';

/** One door to all foreign places that are not hubs. */
export function openCollect(site: Site): CollectSource {
  return (request, sink) => {
    switch (request.kind) {
      case 'https':
        return collectHttps(site, request, sink);
      case 's3':
        return collectS3(site, request, sink);
      case 'git':
        return collectGit(site, request, sink);
      case 'oci':
        return collectOci(site, request, sink);
    }
  };
}
