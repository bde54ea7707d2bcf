import { readFileSync, writeFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fastify from 'fastify';
import { makeMetrics } from '#app/metrics.ts';
import { makePeopleListener } from '#app/server.ts';
import type { Desk } from '#app/routes/people.ts';
import { root } from './step.ts';

/** The part of JSON Schema that our routes use. */
interface Schema {
  readonly type?: string;
  readonly const?: string | number | boolean;
  readonly enum?: readonly (string | number)[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
}
interface Content {
  readonly content?: { readonly 'application/json'?: { readonly schema: Schema } };
}
interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: 'path' | 'query' | 'header';
    readonly required?: boolean;
    readonly schema: Schema;
  }[];
  readonly requestBody?: Content;
  readonly responses: Readonly<Record<string, Content>>;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

const unreachable = (): Promise<never> => Promise.reject(new Error('the document is made without a server'));
const nobody: Desk = {
  list: unreachable,
  show: unreachable,
  approve: unreachable,
  deny: unreachable,
  ask: unreachable,
  explain: () => '',
  promote: unreachable,
  head: unreachable,
  exportBundle: unreachable,
  doctor: unreachable,
  triage: unreachable,
  access: {
    namespaces: unreachable,
    setNamespace: unreachable,
    createToken: unreachable,
    tokens: unreachable,
    revokeToken: unreachable,
  },
  adoptions: {
    keep: unreachable,
    list: unreachable,
    show: unreachable,
    page: () => ({ html: '', policy: '' }),
  },
  intakes: {
    order: unreachable,
    show: unreachable,
    list: unreachable,
    upload: unreachable,
    complete: unreachable,
  },
  upstreams: { view: unreachable },
  queue: { view: unreachable },
  sandbox: { order: unreachable, show: unreachable },
};

/** The OpenAPI document of the people's listener, made from the schemas of its routes. */
async function describe(): Promise<string> {
  const app = await makePeopleListener(fastify({ logger: false }).log, {
    desk: nobody,
    authenticate: unreachable,
    metrics: makeMetrics(),
    health: { ready: () => ({ ready: true, reason: undefined }) },
    version: '1',
  });
  await app.ready();
  const document = app.swagger();
  await app.close();
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** A schema as a TypeScript type. An unknown keyword is an error: a client that guesses is worse than none. */
function typeOf(schema: Schema, indent: string): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (schema.anyOf !== undefined) return schema.anyOf.map((part) => typeOf(part, indent)).join(' | ');
  if (schema.type === 'array' && schema.items !== undefined) {
    const item = typeOf(schema.items, indent);
    return item.includes('|') ? `readonly (${item})[]` : `readonly ${item}[]`;
  }
  if (schema.type === 'object') return objectType(schema, indent);
  const plain: Readonly<Record<string, string>> = {
    string: 'string',
    number: 'number',
    integer: 'number',
    boolean: 'boolean',
    null: 'null',
  };
  const type = plain[schema.type ?? ''];
  if (type !== undefined) return type;
  if (Object.keys(schema).every((key) => key === 'description')) return 'unknown';
  throw new Error(`no type for the schema ${JSON.stringify(schema)}`);
}

function objectType(schema: Schema, indent: string): string {
  if (schema.properties === undefined) return 'Readonly<Record<string, unknown>>';
  const inner = `${indent}  `;
  const required = new Set(schema.required);
  const lines = Object.entries(schema.properties).map(
    ([name, part]) => `${inner}readonly ${name}${required.has(name) ? '' : '?'}: ${typeOf(part, inner)};`,
  );
  return `{\n${lines.join('\n')}\n${indent}}`;
}

const capital = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);
const jsonOf = (content: Content | undefined): Schema | undefined =>
  content?.content?.['application/json']?.schema;

interface Call {
  readonly types: string;
  readonly signature: string;
  readonly body: string;
}

function callOf(path: string, method: string, operation: Operation): Call | undefined {
  const answer = jsonOf(operation.responses['200'] ?? operation.responses['202']);
  if (answer === undefined) return undefined;
  const name = capital(operation.operationId);
  const inPath = operation.parameters?.filter((parameter) => parameter.in === 'path') ?? [];
  const inQuery = operation.parameters?.filter((parameter) => parameter.in === 'query') ?? [];
  const body = jsonOf(operation.requestBody);
  const query: Schema = {
    type: 'object',
    properties: Object.fromEntries(inQuery.map((parameter) => [parameter.name, parameter.schema])),
    required: inQuery.filter((parameter) => parameter.required === true).map((parameter) => parameter.name),
  };
  const types = [
    `export type ${name}Answer = ${typeOf(answer, '')};`,
    ...(inQuery.length > 0 ? [`export type ${name}Query = ${typeOf(query, '')};`] : []),
    ...(body === undefined ? [] : [`export type ${name}Body = ${typeOf(body, '')};`]),
  ];
  const parameters = [
    ...inPath.map((parameter) => `${parameter.name}: string`),
    ...(inQuery.length > 0 ? [`query: ${name}Query`] : []),
    ...(body === undefined ? [] : [`body: ${name}Body`]),
    'signal?: AbortSignal',
  ];
  const names = parameters.map((parameter) => parameter.split(/\??:/)[0]);
  const url = path.replaceAll(/\{(\w+)\}/g, (_, parameter: string) => `\${encodeURIComponent(${parameter})}`);
  const request = [
    `method: '${method.toUpperCase()}'`,
    `path: \`${url}\``,
    ...(inQuery.length > 0 ? ['query'] : []),
    ...(body === undefined ? [] : ['body']),
    'signal',
  ];
  return {
    types: types.join('\n\n'),
    signature: `  ${operation.operationId}(${parameters.join(', ')}): Promise<Answered<${name}Answer>>;`,
    body: `    ${operation.operationId}: (${names.join(', ')}) => ask({ ${request.join(', ')} }),`,
  };
}

const preamble = `// Made by tools/generate-client.ts from docs/reference/openapi.json. Not edited by hand.

/** A failure as the server words it. Network failures have the code \`network\`. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
}

/** Every call ends in one of two ways; it never throws, except when its signal aborts. */
export type Answered<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly refusal: Refusal };
`;

const runtime = `
interface Ask {
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  readonly signal: AbortSignal | undefined;
}

function addressOf(ask: Ask): string {
  const pairs = Object.entries(ask.query ?? {}).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)]],
  );
  return pairs.length === 0 ? ask.path : \`\${ask.path}?\${new URLSearchParams(pairs).toString()}\`;
}

async function refusalOf(response: Response): Promise<Refusal> {
  const fallback = { status: response.status, code: 'unknown', message: response.statusText, hint: undefined };
  try {
    const { error } = (await response.json()) as { error?: Partial<Refusal> };
    return { ...fallback, ...error, status: response.status, hint: error?.hint };
  } catch {
    return fallback;
  }
}

/** Opens a client that sends the token with every call. Same origin only: paths are absolute, no base address. */
export function openClient(token: string): Client {
  // The types of the answers are the schemas that the server serialises with.
  const ask = async (request: Ask): Promise<Answered<never>> => {
    let response: Response;
    try {
      response = await fetch(addressOf(request), {
        method: request.method,
        headers: {
          authorization: \`Bearer \${token}\`,
          ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
        ...(request.signal === undefined ? {} : { signal: request.signal }),
        cache: 'no-store',
        credentials: 'omit',
        redirect: 'error',
      });
    } catch (error) {
      if (request.signal?.aborted === true) throw error;
      const message = 'the server did not answer';
      return { ok: false, refusal: { status: 0, code: 'network', message, hint: 'is it running?' } };
    }
    if (!response.ok) return { ok: false, refusal: await refusalOf(response) };
    return { ok: true, value: (await response.json()) as never };
  };
  return {
`;

/** The client's source from the document. */
export function generate(documentText: string): string {
  const document = JSON.parse(documentText) as Document;
  const calls = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, operation]) => callOf(path, method, operation) ?? []),
  );
  const list = (part: keyof Call, separator: string): string =>
    calls.map((call) => call[part]).join(separator);
  return `${preamble}\n${list('types', '\n\n')}\n\nexport interface Client {\n${list('signature', '\n')}\n}\n${runtime}${list('body', '\n')}\n  };\n}\n`;
}

/** Writes the document and the client, or with `--check` says which of them is stale. */
async function main(check: boolean): Promise<boolean> {
  const document = await describe();
  const outputs = [
    ['docs/reference/openapi.json', document],
    ['console/src/api/client.ts', generate(document)],
  ] as const;
  const stale = outputs.filter(([path, text]) => read(path) !== text);
  for (const [path, text] of check ? [] : stale) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  if (check) for (const [path] of stale) console.log(`${path} is stale; hint: node tools/generate-client.ts`);
  return !check || stale.length === 0;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(join(root, path), 'utf8');
  } catch {
    return undefined;
  }
}

if (import.meta.main) process.exitCode = (await main(process.argv.includes('--check'))) ? 0 : 1;
