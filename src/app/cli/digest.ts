import { buildManifest } from '#artifact/manifest.ts';
import { rootsOf } from '#artifact/roots.ts';
import { walkTree } from '#artifact/walk.ts';
import type { WalkNote } from '#artifact/walk.ts';
import { Fault } from '#lib/fault.ts';
import { printable } from '#lib/printable.ts';
import { outputFormat, outputOption, print } from './command.ts';
import type { Command, CommandContext } from './command.ts';

/** `weighbridge digest`: the name of a local directory or file as an artifact; needs no server. */
export const digest: Command = {
  name: 'digest',
  summary: 'print the artifact digest and the three roots of a local directory or file',
  usage: 'PATH',
  options: [
    {
      name: 'follow-links',
      summary: 'read links to files inside the directory named by --link-root, as in a hub cache',
    },
    {
      name: 'link-root',
      value: 'DIR',
      summary: 'where such links may lead; the directory itself by default',
    },
    outputOption,
  ],
  run: async (input, context) => {
    const format = outputFormat(input);
    const [path, ...more] = input.positionals;
    if (path === undefined || more.length > 0) throw new Fault('command.usage', 'name one directory or file');
    const linkRoot = input.flags.get('link-root');
    const tree = await walkTree(path, {
      links: input.flags.has('follow-links') || linkRoot !== undefined ? 'inside' : 'refuse',
      ...(linkRoot === undefined ? {} : { linkRoot }),
      onFile: progressTo(context),
    });
    if (context.stderr.isTTY === true) context.stderr.write('\r\x1b[K');
    const manifest = buildManifest(tree.files);
    const roots = rootsOf(tree.files);
    if (format === 'json') {
      const answer = { artifact: manifest.digest, roots, files: tree.files, notes: tree.notes };
      await print(context.stdout, `${JSON.stringify(answer)}\n`);
      return 0;
    }
    await print(context.stdout, `${manifest.digest}\n`);
    const lines = [
      ...Object.entries(roots).map(([name, root]) => `root ${name.padEnd(8)} ${root ?? 'none'}`),
      ...tree.notes.map((note) => `note: ${describeNote(note)}`),
    ];
    await print(context.stderr, `${tree.files.length} files\n${lines.join('\n')}\n`);
    return 0;
  },
};

function progressTo(context: CommandContext): () => void {
  let files = 0;
  return () => {
    files += 1;
    if (context.stderr.isTTY === true && files % 50 === 0) context.stderr.write(`\r${files} files\x1b[K`);
  };
}

function describeNote(note: WalkNote): string {
  switch (note.kind) {
    case 'hard-link':
      return `\`${printable(note.path)}\` has ${note.links} hard links: the same bytes can be written under another name`;
    case 'collision':
      return `these names are one name on some file systems: ${note.paths.map((path) => `\`${printable(path)}\``).join(', ')}`;
    case 'ignored':
      return `\`${printable(note.path)}\` is left out`;
  }
}
