import type { CollectSource } from '#artifact/source.ts';
import { collectHttps } from './https.ts';
import type { Site } from './site.ts';

/** One door to all foreign places that are not hubs. */
export function openCollect(site: Site): CollectSource {
  return (request, sink) => {
    switch (request.kind) {
      case 'https':
        return collectHttps(site, request, sink);
      default:
        throw new Error('not yet');
    }
  };
}
