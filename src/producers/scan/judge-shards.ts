import { isJsonObject, member, type JsonValue } from '#artifact/formats/json/json-document.ts';
import type { Finding } from '#evidence/predicates.ts';
import { roleOf } from '#artifact/roles.ts';
import { finding } from './finding.ts';

/** A shard index (`*.index.json`, `weight_map`: tensor → file) may name files of its own folder and below, that exist. */
export function judgeShardIndex(
  path: string,
  value: JsonValue,
  paths: ReadonlySet<string>,
): readonly Finding[] {
  const map = member(value, 'weight_map');
  if (map === undefined) return [];
  if (!isJsonObject(map)) {
    return [finding('SHARD-INVALID', '`weight_map` is not an object', { path, pointer: '/weight_map' })];
  }
  const folder = path.includes('/') ? path.slice(0, path.lastIndexOf('/') + 1) : '';
  const findings = new Map<string, Finding>();
  for (const [tensor, shard] of map) {
    const pointer = `/weight_map/${tensor.slice(0, 200)}`;
    if (typeof shard !== 'string') {
      findings.set(
        '',
        finding('SHARD-INVALID', 'a tensor is mapped to something that is no file name', { path, pointer }),
      );
    } else if (!findings.has(shard)) {
      const shown = `\`${shard.slice(0, 200)}\``;
      if (escapes(shard)) {
        findings.set(shard, finding('SHARD-OUTSIDE', `tensors are read from ${shown}`, { path, pointer }));
      } else if (roleOf(folder + shard) === 'documentation') {
        const message = `tensors are read from ${shown}, which is named like documentation`;
        findings.set(shard, finding('SHARD-DOCUMENTATION', message, { path, pointer }));
      } else if (!paths.has(folder + shard)) {
        findings.set(shard, finding('SHARD-MISSING', `${shown} is not in the artifact`, { path, pointer }));
      }
    }
  }
  return [...findings.values()];
}

/** Absolute on any system, a URL, or climbing out with `..`. */
export function escapes(reference: string): boolean {
  return isAbsolute(reference) || /^[a-z][a-z0-9+.-]*:\/\//i.test(reference) || climbs(reference);
}

export function isAbsolute(reference: string): boolean {
  return /^([/\\~]|[a-zA-Z]:[/\\])/.test(reference);
}

export function climbs(reference: string): boolean {
  return reference.split(/[/\\]/).includes('..');
}
