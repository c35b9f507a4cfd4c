/** A labelled value of a gauge that is worked out when it is asked for. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A gauge that says what is kept elsewhere. It holds nothing: with a series for every certificate, that would be most of a scrape. */
export interface MirroredGauge {
  readonly name: string;
  readonly help: string;
  /** The labels of every sample, in the order in which they are written. */
  readonly labels: readonly string[];
  readonly samples: () => Iterable<Sample>;
}

/** Lines that go out as one piece. */
const linesAtOnce = 500;

/** A gauge in the text format of Prometheus, piece by piece. */
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
