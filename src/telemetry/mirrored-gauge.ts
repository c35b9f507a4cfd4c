/** A value of a gauge with its labels. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A gauge whose values are read from their source at each scrape. A copy of a series per certificate would need much memory. */
export interface MirroredGauge {
  readonly name: string;
  readonly help: string;
  /** The labels of every sample, in the order in which they are written. */
  readonly labels: readonly string[];
  readonly samples: () => Iterable<Sample>;
}

/** The number of lines in a piece. */
const linesAtOnce = 500;

/** A gauge in the Prometheus text format, in pieces. */
export function* exposeGauge({
  name,
  help,
  labels: names,
  samples,
}: MirroredGauge): Generator<string, void, undefined> {
  let piece = `# HELP ${name} ${help}\n# TYPE ${name} gauge\n`;
  let lines = 0;
  for (const { labels, value } of samples()) {
    piece += `${name}{${labelText(names, labels)}} ${valueText(value)}\n`;
    lines += 1;
    if (lines % linesAtOnce > 0) continue;
    yield piece;
    piece = '';
  }
  yield `${piece}\n`;
}

function labelText(names: readonly string[], labels: Sample['labels']): string {
  let text = '';
  for (const name of names) text += `${text && ','}${name}="${escaped(labels[name] ?? '')}"`;
  return text;
}

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' };

const escaped = (value: string): string =>
  /[\\"\n]/.test(value) ? value.replaceAll(/[\\"\n]/g, (character) => escapes[character] ?? '') : value;

const valueText = (value: number): string => String(value).replace('Infinity', 'Inf');
