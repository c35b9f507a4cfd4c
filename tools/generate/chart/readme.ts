import { stringify } from 'yaml';
import type { ChartValue } from './values.ts';

const begin = '<!-- The tables are generated from values.yaml by `npm run generate`. -->';
const end = '<!-- The end of the generated tables. -->';

/**
 * The text of the chart's README: the present one, with the tables of values.
 * @throws if the present one has no place for them
 */
export function chartReadmeFile(present: string, values: readonly ChartValue[]): string {
  const [before, rest] = present.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined)
    throw new Error('the README of the chart has no place for the values');
  const sections = [...new Set(values.map(({ section }) => section))];
  const tables = sections.map((section) => {
    const rows = values.filter((value) => value.section === section).map(row);
    return [`### ${section}`, '', '| Value | Default | Meaning |', '| --- | --- | --- |', ...rows].join('\n');
  });
  return `${before}${begin}\n\n${tables.join('\n\n')}\n\n${end}${after}`;
}

function row(value: ChartValue): string {
  const shown = stringify(value.default, { collectionStyle: 'flow', lineWidth: 0 }).trim().replaceAll('"', "'");
  return `| \`${value.path}\` | \`${shown}\` | ${value.description.replaceAll('|', '\\|')} |`;
}
