import { writeFileSync } from 'node:fs';
import { rules } from '#producers/scan/rule-set.ts';

/** Writes docs/reference/rules.md from the table of rules. Run it after every change of a rule; a test compares. */
const rows = Object.entries(rules)
  .toSorted(([a], [b]) => (a < b ? -1 : 1))
  .map(([id, { severity, scope, title, remedy }]) => {
    return `| <a id="${id}"></a>\`${id}\` | ${severity} | ${scope} | ${title} | ${remedy} |`;
  });

const page = `# Rules of the scanner

Written by \`node tools/rules-page.ts\` from \`src/producers/scan/\`; do not edit by hand.

A scan gives two independent answers. The **verdict** comes from the worst finding: \`critical\` is malicious, \`high\` and
\`medium\` are suspicious, \`low\` stays clean. The **completeness** is \`inconclusive\` where any byte is not accounted for: an
unknown format, a broken structure, a limit on size, time or memory. Inconclusive is never clean. A *blob* finding holds for
the bytes wherever they appear and whatever they are called; an *artifact* finding is about what a path makes of them.
An id never changes its meaning.

| Rule | Severity | About | What it means | What to do |
|---|---|---|---|---|
${rows.join('\n')}
`;

writeFileSync(new URL('../docs/reference/rules.md', import.meta.url), page);
