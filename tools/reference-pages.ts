import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { helpOf } from '#app/cli/command.ts';
import { commands } from '#app/cli/commands.ts';
import { configKeys, environmentName, showFallback } from '#app/config.ts';
import type { ConfigName } from '#app/config.ts';
import { root } from './step.ts';

/** What a value looks like, per key. */
const accepts: Readonly<Record<ConfigName, string>> = {
  data: 'a path; relative ones start where the command was given',
  blobs: 'a path',
  listen: '`host:port` or `port`; port 0 lets the system choose',
  'console-listen': '`host:port` or `port`; port 0 lets the system choose',
  'public-url': 'an http or https URL',
  'console-url': 'an http or https URL',
  upstream: 'an http or https URL without a credential',
  'upstream-token': 'text; never printed, never sent anywhere but upstream',
  'admin-token': 'at least 16 characters; only its SHA-256 is stored',
  database: '`postgres://…`, PostgreSQL 15 or newer',
  'database-owner': '`postgres://…`; only together with `database`',
  policies: 'a path',
  delivery: 'a path; the file is described in [delivery](delivery.md)',
  environment: '`development`, `staging`, `production`',
  tier: '`low`, `medium`, `high`',
  origin: 'at most 200 characters without spaces and `+`',
  'hold-wait': 'whole seconds, 1 to 60',
  'reference-ttl': 'whole seconds, 0 to 3600',
  'absent-ttl': 'whole seconds, 0 to 3600',
  'upstream-concurrency': '2 to 256; a quarter is kept free of file bodies',
  'upstream-timeout': 'whole seconds, 1 to 600',
  'upstream-wait': 'whole seconds, 1 to 60',
  'intake-concurrency': '1 to 64',
  'intake-hosts': '`host` or `host:port`, several with commas',
  'intake-credentials': 'a path; [sources.md](sources.md) has its form',
  'intake-limit': '1 to 1048576',
  'interim-responses': '`on`, `off`',
  'accel-prefix': 'a path that starts and ends with `/`; set-up in [nginx](nginx.md)',
  'accel-from': 'IP addresses with commas between them',
  sandbox: '`on-request`, `off`',
  'sandbox-python': 'a program on the path, or an absolute path',
  'log-level': '`fatal`, `error`, `warn`, `info`, `debug`',
};

const cell = (text: string): string => text.replaceAll('|', String.raw`\|`);

function fallbackOf(name: ConfigName): string {
  const usual = showFallback(configKeys[name].fallback);
  return usual === undefined ? '' : `\`${usual}\``;
}

/** docs/reference/configuration.md. */
function configurationPage(): string {
  const names = Object.keys(configKeys) as ConfigName[];
  const rows = names.map(
    (name) =>
      `| <a id="${name}"></a>\`${name}\` | \`${environmentName(name)}\` | ${cell(configKeys[name].summary)} | ${cell(accepts[name])} | ${fallbackOf(name)} |`,
  );
  return `# Configuration

Written by \`node tools/reference-pages.ts\` from \`src/app/config.ts\`; do not edit by hand.

Every key is a flag of \`weighbridge serve\` (\`--console-listen 127.0.0.1:7081\`), an environment variable
(\`WEIGHBRIDGE_CONSOLE_LISTEN\`) and a line of the configuration file (\`console-listen: 127.0.0.1:7081\`). Where more than one
says something, the flag wins over the variable, the variable over the file, the file over the default.

The file is YAML: one value per key, nothing nested. It is the one named by \`--config\` or \`WEIGHBRIDGE_CONFIG\`, else
\`config.yaml\` in the data directory where there is one. An unknown key, variable or flag is refused with the nearest known
name (\`config.invalid\`, \`command.usage\`); nothing is ignored silently. A secret belongs into the file (mode 0600) or a
variable: other users of the machine see flags.

| Key | Variable | What it is | What it accepts | Default |
|---|---|---|---|---|
${rows.join('\n')}

## Listening where others can reach it

On loopback anybody may pull from the default namespace without a token. As soon as \`listen\` is another address, pulling
needs a token (\`request.unauthenticated\`), and unknown \`hf_\` tokens count as none. The people's interface always needs the
administrator token; put TLS in front of both before they leave the machine.
`;
}

const isKey = (option: string): boolean => option in configKeys || option === 'config';

/** docs/reference/command-line.md. */
function commandLinePage(): string {
  const parts = commands.map((command) => {
    const short = command.name === 'serve' || command.name === 'reindex';
    const help = helpOf(command).trimEnd();
    const [summary, usage, options = ''] = help.split('\n\n');
    const own = options.split('\n').filter((line) => !isKey(/^ {2}--([\w-]+)/.exec(line)?.[1] ?? ''));
    const text = short
      ? [summary, usage, ['  every key of configuration.md is an option', ...own].join('\n')].join('\n\n')
      : help;
    return `<a id="${command.name}"></a>\n## \`weighbridge ${command.name}\`\n\n\`\`\`text\n${text}\n\`\`\``;
  });
  return `# Command line

Written by \`node tools/reference-pages.ts\` from \`src/app/cli/\`; do not edit by hand. \`weighbridge help COMMAND\` prints the same.

| Exit code | Meaning |
|---|---|
| 0 | allowed, clean, done |
| 2 | denied, or something was found |
| 1 | inconclusive, or it could not run; the message says why, \`hint:\` says what to do |

Answers go to standard output, everything else to standard error. \`--output json\` prints one JSON document, also for a
failure (\`{"error":{"code",…}}\`, [faults](faults.md)). Nothing but plain text leaves when the output is not a terminal.
\`scan\`, \`adopt\`, \`digest\` and \`decide --offline\` need no server; \`serve\` and \`reindex\` take the data directory for themselves; every
other command talks to the running server through the socket in its data directory (\`--data\`, \`WEIGHBRIDGE_DATA\`). Whoever may
enter that directory is administrator.

An ARTIFACT is \`sha256:…\` or text that matches exactly one artifact of the inventory, such as \`org/name\`.

${parts.join('\n\n')}
`;
}

/** The pages by their path in the checkout. */
export function referencePages(): ReadonlyMap<string, string> {
  return new Map([
    ['docs/reference/configuration.md', configurationPage()],
    ['docs/reference/command-line.md', commandLinePage()],
  ]);
}

/** Paths of the pages that are not what the source says. */
export function stalePages(): readonly string[] {
  return [...referencePages()].filter(([path, text]) => read(path) !== text).map(([path]) => path);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(join(root, path), 'utf8');
  } catch {
    return undefined;
  }
}

if (import.meta.main) for (const [path, text] of referencePages()) writeFileSync(join(root, path), text);
