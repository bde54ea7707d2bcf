import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { default as addFormats } from 'ajv-formats';

const folder = new URL('../vectors/cyclonedx/', import.meta.url);

function read(name: string): { readonly [key: string]: unknown } {
  const value: unknown = JSON.parse(readFileSync(new URL(name, folder), 'utf8'));
  if (typeof value !== 'object' || value === null) throw new Error(`${name} is not a schema`);
  return { ...value };
}

/** Holds documents against the official CycloneDX 1.6 schema; answers the errors, empty for a valid one. */
export function openBomSchema(): (bom: unknown) => readonly string[] {
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: true });
  addFormats.default(ajv);
  ajv.addFormat('iri-reference', true);
  ajv.addFormat('idn-email', true);
  ajv.addSchema(read('spdx.SNAPSHOT.schema.json'), 'http://cyclonedx.org/schema/spdx.SNAPSHOT.schema.json');
  ajv.addSchema(
    read('jsf-0.82.SNAPSHOT.schema.json'),
    'http://cyclonedx.org/schema/jsf-0.82.SNAPSHOT.schema.json',
  );
  const validate = ajv.compile(read('bom-1.6.SNAPSHOT.schema.json'));
  return (bom) =>
    validate(bom)
      ? []
      : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

/** The SPDX licence ids of the official list. */
export function officialSpdxIds(): ReadonlySet<unknown> {
  const { enum: ids } = read('spdx.SNAPSHOT.schema.json');
  return new Set(Array.isArray(ids) ? ids : []);
}
