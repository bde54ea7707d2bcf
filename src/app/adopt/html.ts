import { createHash } from 'node:crypto';
import { printable } from '#lib/printable.ts';
import { reportStyle } from './html-style.ts';
import { severities } from '../routes/adoption-report.ts';
import type { AdoptedModel, AdoptionReport, AdoptionRisk } from '../routes/adoption-report.ts';
import {
  countWords,
  layoutWords,
  modelWords,
  originWords,
  riskWords,
  scanWords,
  sizeWords,
} from './words.ts';

/** Rows that a page shows; the JSON has all of them. */
const shown = { risks: 5_000, models: 5_000, filesPerModel: 200, files: 20_000 } as const;

/** What a browser may do with the page: show it. The one style is named by its hash. */
export const reportPolicy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(reportStyle).digest('base64')}'; base-uri 'none'; form-action 'none'`;

/**
 * The report as one HTML file that needs no script and no other file, in light and dark, for screen and paper. Every
 * text in it may be an attacker's: control and bidirectional characters are spelled out, then the rest is escaped.
 */
export function renderAdoptionHtml(report: AdoptionReport): string {
  const { totals } = report;
  const title = `Adoption report, ${report.at}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="${escape(reportPolicy)}">
<title>${escape(title)}</title>
<style>${reportStyle}</style>
</head>
<body>
<header>
<p class="brand">Weighbridge</p>
<h1>What is here today</h1>
<p class="faint">Looked at ${escape(report.at)} by ${escape(`${report.scanner.name} ${report.scanner.version}`)}. Nothing was changed, moved or enforced.</p>
<p class="roots">${report.roots.map((root) => `<code>${foreign(root)}</code>`).join(' ')}</p>
</header>
<main>
${report.complete ? '' : `<section class="incomplete" role="note"><h2>Not everything was looked at</h2><ul>${report.incompleteReasons.map((reason) => `<li>${sentence(reason)}</li>`).join('')}</ul></section>`}
<section aria-label="Totals"><dl class="totals">
${total(String(totals.models), totals.models === 1 ? 'model' : 'models')}
${total(sizeWords(totals.sizeBytes), `in ${countWords(totals.files, 'file')}`)}
${total(`${totals.origins.proved} of ${totals.models}`, 'origins proved')}
${total(sizeWords(totals.duplicateBytes + totals.unreferencedBytes + totals.partialBytes), 'wasted: copies, leftovers')}
${severities.map((one) => total(String(totals.risks[one]), `${one} risks`, totals.risks[one] > 0 ? one : '')).join('\n')}
</dl></section>
${riskSection(report)}
${modelSection(report)}
</main>
<footer><p class="faint">A risk listed here is a fact about files on this machine, not a decision. What no scanner read to its end is called inconclusive, never clean.</p></footer>
</body>
</html>
`;
}

function total(value: string, label: string, tone = ''): string {
  return `<div class="total ${tone}"><dt>${escape(label)}</dt><dd>${escape(value)}</dd></div>`;
}

function riskSection(report: AdoptionReport): string {
  const rows = report.risks.slice(0, shown.risks).map((risk) => riskRow(report, risk));
  const rest = report.risks.length - rows.length;
  return `<section><h2>Risks of today</h2>
${rows.length === 0 ? '<p>None were found.</p>' : `<ol class="risks">\n${rows.join('\n')}\n</ol>`}
${rest > 0 ? `<p class="faint">And ${countWords(rest, 'more row')}; <code>--output json</code> has all.</p>` : ''}
</section>`;
}

function riskRow(report: AdoptionReport, risk: AdoptionRisk): string {
  const model = risk.model === null ? undefined : report.models[risk.model];
  const more = risk.count - risk.paths.length;
  return `<li class="risk ${risk.severity}">
<p class="what"><span class="badge ${risk.severity}">${escape(risk.severity)}</span> <strong>${escape(riskWords[risk.kind])}</strong>${model === undefined ? '' : ` <span class="where">in <a href="#m${risk.model}">${foreign(modelWords(model))}</a></span>`}</p>
<p>${sentence(risk.message)}${risk.rule === null ? '' : ` <code class="rule">${foreign(risk.rule)}</code>`}</p>
${risk.paths.length === 0 ? '' : `<p class="paths">${risk.paths.map((path) => `<code>${foreign(path)}</code>`).join(' ')}${more > 0 ? ` <span class="faint">and ${more} more</span>` : ''}</p>`}
<p class="remedy">${sentence(risk.remedy)}</p>
</li>`;
}

function modelSection(report: AdoptionReport): string {
  let files = 0;
  const rows = report.models.slice(0, shown.models).map((model, index) => {
    const room = Math.max(0, Math.min(shown.filesPerModel, shown.files - files));
    files += Math.min(room, model.files.length);
    return modelRow(model, index, room);
  });
  const rest = report.models.length - rows.length;
  return `<section><h2>Models</h2>
${rows.length === 0 ? '<p>No model was found below these directories.</p>' : rows.join('\n')}
${rest > 0 ? `<p class="faint">And ${countWords(rest, 'more model')}; <code>--output json</code> has all.</p>` : ''}
</section>`;
}

function modelRow(model: AdoptedModel, index: number, room: number): string {
  const scan = scanWords(model);
  const risks = severities.filter((one) => model.risks[one] > 0);
  const files = model.files.slice(0, room);
  return `<article class="model" id="m${index}">
<h3>${foreign(modelWords(model))}</h3>
<p class="facts"><span class="badge ${tones[scan] ?? ''}">${escape(scan)}</span> <span class="badge ${tones[model.origin.state] ?? ''}">origin ${escape(originWords[model.origin.state])}</span>${risks.map((one) => ` <span class="badge ${one}">${model.risks[one]} ${one}</span>`).join('')}</p>
<p class="faint">${escape(layoutWords[model.layout])}, ${countWords(model.fileCount, 'file')}, ${sizeWords(model.sizeBytes)}${model.formats.length === 0 ? '' : `, ${model.formats.map(foreign).join(', ')}`}. ${sentence(model.origin.detail)}.</p>
<p class="faint"><code>${foreign(model.location)}</code></p>
${model.artifact === null ? '' : `<p class="faint"><code>${escape(model.artifact)}</code></p>`}
${
  files.length === 0
    ? ''
    : `<details><summary>${countWords(model.fileCount, 'file')}</summary><div class="scroll"><table><thead><tr><th>Path</th><th>Size</th><th>Scan</th><th>SHA-256</th></tr></thead><tbody>
${files.map((file) => `<tr><td><code>${foreign(file.path)}</code></td><td>${sizeWords(file.sizeBytes)}</td><td>${escape(scanWords(file))}</td><td><code>${escape(file.digest?.slice(7) ?? 'not read')}</code></td></tr>`).join('\n')}
</tbody></table></div>${model.files.length > files.length ? `<p class="faint">The first ${files.length} are shown.</p>` : ''}</details>`
}
</article>`;
}

const tones: Readonly<Record<string, string>> = {
  clean: 'good',
  proved: 'good',
  inconclusive: 'medium',
  suspicious: 'high',
  malicious: 'critical',
  contradicted: 'critical',
  unknown: 'medium',
};

/** Text that somebody else chose, isolated from the direction of what surrounds it. */
function foreign(text: string): string {
  return `<bdi>${escape(printable(text))}</bdi>`;
}

/** Our words, in which backticks quote what somebody else chose. */
function sentence(text: string): string {
  return printable(/^[a-z]/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text)
    .split(/(`[^`]*`)/)
    .map((part) =>
      part.length > 2 && part.startsWith('`') && part.endsWith('`')
        ? `<code><bdi>${escape(part.slice(1, -1))}</bdi></code>`
        : `<bdi>${escape(part)}</bdi>`,
    )
    .join('');
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? '');
}
