import { printable } from '#lib/printable.ts';
import { severities } from '../routes/adoption-report.ts';
import type { AdoptionReport, AdoptionRisk } from '../routes/adoption-report.ts';
import { countWords, modelWords, originWords, riskWords, scanWords, sizeWords } from './words.ts';

/** Rows of the summary; the report file and `--output json` have all of them. */
const shownRisks = 60;
const shownModels = 60;

/** The answer for a terminal: models, risks with the gravest first, totals. Text of others is made printable. */
export function renderAdoption(report: AdoptionReport): string {
  const { totals, models, risks } = report;
  const lines = ['Models'];
  for (const model of models.slice(0, shownModels)) {
    const scan = scanWords(model);
    const words = [
      countWords(model.fileCount, 'file'),
      sizeWords(model.sizeBytes),
      `origin ${originWords[model.origin.state]}`,
      scan,
    ];
    lines.push(`  ${printable(modelWords(model), 200)}`, `    ${words.join(', ')}`);
  }
  lines.push(...beyond(models.length, shownModels, 'model'));
  lines.push('', 'Risks of today, the gravest first');
  for (const risk of risks.slice(0, shownRisks)) lines.push(...riskLines(report, risk));
  lines.push(...beyond(risks.length, shownRisks, 'risk'));
  if (risks.length === 0) lines.push('  none');
  lines.push('', ...totalLines(totals));
  for (const reason of report.incompleteReasons) lines.push(`incomplete: ${printable(reason)}`);
  return `${lines.join('\n')}\n`;
}

function riskLines(report: AdoptionReport, risk: AdoptionRisk): readonly string[] {
  const model = risk.model === null ? undefined : report.models[risk.model];
  const where = model === undefined ? '' : ` in ${printable(modelWords(model), 200)}`;
  const rule = risk.rule === null ? '' : ` (${printable(risk.rule)})`;
  const more = risk.count > risk.paths.length && risk.paths.length > 0 ? `, ${risk.count} in all` : '';
  return [
    `  ${risk.severity} ${riskWords[risk.kind]}${where}`,
    `    ${printable(risk.message)}${rule}`,
    ...(risk.paths.length === 0
      ? []
      : [`    at ${risk.paths.map((path) => printable(path, 300)).join(', ')}${more}`]),
    `    hint: ${printable(risk.remedy)}`,
  ];
}

function beyond(total: number, shown: number, noun: string): readonly string[] {
  return total > shown
    ? [`  and ${countWords(total - shown, `more ${noun}`)} (\`--report\`, \`--output json\`)`]
    : [];
}

function totalLines(totals: AdoptionReport['totals']): readonly string[] {
  const origins = Object.entries(totals.origins)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${state}`);
  const risks = severities.filter((one) => totals.risks[one] > 0).map((one) => `${totals.risks[one]} ${one}`);
  const waste = [
    totals.duplicateBytes > 0 ? `${sizeWords(totals.duplicateBytes)} stored more than once` : '',
    totals.unreferencedBytes > 0 ? `${sizeWords(totals.unreferencedBytes)} used by nothing` : '',
    totals.partialBytes > 0 ? `${sizeWords(totals.partialBytes)} of partial downloads` : '',
  ].filter((part) => part !== '');
  return [
    `${countWords(totals.models, 'model')}, ${countWords(totals.files, 'file')}, ${sizeWords(totals.sizeBytes)}`,
    `origins: ${origins.join(', ') || 'none'}`,
    `risks: ${risks.join(', ') || 'none'}`,
    ...(waste.length === 0 ? [] : [`wasted: ${waste.join(', ')}`]),
  ];
}
