import { type Document, isMap, type Pair, type Scalar, type YAMLMap } from 'yaml';

/** A value of the chart that has a comment in values.yaml. */
export interface ChartValue {
  /** With dots, such as `metrics.tls.enabled`. */
  readonly path: string;
  readonly section: string;
  readonly description: string;
  readonly default: unknown;
}

/**
 * The values of values.yaml that have a comment, in its order. A comment that ends with an empty line is the title of a section.
 * @throws if a value has neither a comment nor values below it with comments
 */
export function chartValues(document: Document): readonly ChartValue[] {
  const values: ChartValue[] = [];
  let section = '';
  const visit = (map: YAMLMap, prefix: string): void => {
    for (const [index, { key, value }] of (map.items as Pair<Scalar<string>>[]).entries()) {
      const path = `${prefix}${key.value}`;
      // The parser gives the comment above the first key to the map.
      const comment = key.commentBefore ?? (index === 0 ? map.commentBefore : undefined) ?? '';
      const paragraphs = comment.split(/\n\n|\n$/).map((text) => text.replaceAll(/\s+/g, ' ').trim());
      const description = paragraphs.pop();
      section = paragraphs.at(-1) ?? section;
      if (description) values.push({ path, section, description, default: document.getIn(path.split('.'), false) });
      else if (!isMap(value)) throw new Error(`values.yaml: ${path} has no comment`);
      if (isMap(value) && !description) visit(value, `${path}.`);
    }
  };
  if (isMap(document.contents)) visit(document.contents, '');
  return values.map((value) => ({ ...value, default: plain(value.default) }));
}

const plain = (node: unknown): unknown => (isMap(node) ? node.toJSON() : toPlain(node));

function toPlain(node: unknown): unknown {
  return typeof node === 'object' && node !== null && 'toJSON' in node && typeof node.toJSON === 'function'
    ? (node.toJSON() as unknown)
    : node;
}
