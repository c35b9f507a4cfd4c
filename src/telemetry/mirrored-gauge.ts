/** A value of a gauge. */
export interface Sample {
  /** The values of the labels, in the order of {@link MirroredGauge.labels}. */
  readonly labels: readonly string[];
  readonly value: number;
}

export type Samples = Iterable<Sample>;

/** A gauge whose values are read from their source at each scrape. A copy of a series per certificate would need much memory. */
export interface MirroredGauge {
  readonly name: string;
  readonly help: string;
  /** The names of the labels. */
  readonly labels: readonly string[];
  readonly samples: () => Samples;
}

/** The number of lines in a piece. */
const linesAtOnce = 500;

/** A gauge in the Prometheus text format, in pieces. A gauge without samples is absent. */
export function* exposeGauge({ name, help, labels, samples }: MirroredGauge): Generator<string, void, undefined> {
  // The text before each value of a label, and after the last.
  const before = labels.map((label, i) => `${i === 0 ? `${name}{` : '",'}${label}="`);
  const after = labels.length === 0 ? `${name} ` : '"} ';
  let piece = `# HELP ${name} ${help}\n# TYPE ${name} gauge\n`;
  let lines = 0;
  for (const { labels: values, value } of samples()) {
    for (let i = 0; i < before.length; i += 1) piece += `${before[i]}${escaped(values[i] ?? '')}`;
    piece += `${after}${valueText(value)}\n`;
    lines += 1;
    if (lines % linesAtOnce > 0) continue;
    yield piece;
    piece = '';
  }
  if (lines > 0) yield `${piece}\n`;
}

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' };

const escaped = (value: string): string =>
  /[\\"\n]/.test(value) ? value.replaceAll(/[\\"\n]/g, (character) => escapes[character] ?? '') : value;

const valueText = (value: number): string => String(value).replace('Infinity', 'Inf');
