import * as fc from './properties.ts';

/** A DER element that can be changed and encoded again with correct lengths. */
export interface DerNode {
  readonly tag: number;
  /** Nested elements if the content can be parsed as such, otherwise octets. */
  readonly content: Buffer | readonly DerNode[];
  /** Octets before the nested elements of a bit string: the count of unused bits. */
  readonly prefix?: Buffer;
}

/** Parses DER without checks: only for valid input. */
export function derNodes(der: Buffer): DerNode[] {
  const nodes: DerNode[] = [];
  for (let at = 0; at < der.length; ) {
    const [tag = 0, first = 0] = der.subarray(at);
    const octets = first < 0x80 ? 0 : first & 0x7f;
    const start = at + 2 + octets;
    const length = octets === 0 ? first : Number.parseInt(der.subarray(at + 2, start).toString('hex'), 16);
    const content = der.subarray(start, start + length);
    if (start + length > der.length || Number.isNaN(length)) throw new Error('not DER');
    nodes.push(nodeOf(tag, content));
    at = start + length;
  }
  return nodes;
}

function nodeOf(tag: number, content: Buffer): DerNode {
  if ((tag & 0x20) !== 0) return { tag, content: derNodes(content) };
  const prefix = tag === 0x03 ? content.subarray(0, 1) : undefined;
  if (tag !== 0x04 && prefix === undefined) return { tag, content };
  try {
    const inner = derNodes(content.subarray(prefix?.length ?? 0));
    return inner.length === 0 ? { tag, content } : { tag, content: inner, ...(prefix === undefined ? {} : { prefix }) };
  } catch {
    return { tag, content };
  }
}

export function encodeNode({ tag, content, prefix }: DerNode): Buffer {
  const inner = Buffer.isBuffer(content) ? content : Buffer.concat((content as DerNode[]).map(encodeNode));
  return wrapped(tag, prefix === undefined ? inner : Buffer.concat([prefix, inner]));
}

/** Encodes an element with this tag and content. */
export function wrapped(tag: number, content: Buffer): Buffer {
  const digits = content.length.toString(16);
  const length = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.from(content.length < 0x80 ? [tag] : [tag, 0x80 | length.length]), length, content]);
}

/** A position. `noBias`: positions at the beginning must not be more frequent. */
const place = fc.noBias(fc.nat());

type Change = (node: DerNode) => readonly DerNode[];

/** Changes the element with this number, in the order of encoding. */
export function changeNode(root: DerNode, number: number, change: Change): DerNode[] {
  let left = number % countNodes(root);
  const walk = (node: DerNode): readonly DerNode[] => {
    if (left-- === 0) return change(node);
    return Buffer.isBuffer(node.content) ? [node] : [{ ...node, content: (node.content as DerNode[]).flatMap(walk) }];
  };
  return [...walk(root)];
}

const countNodes = ({ content }: DerNode): number =>
  Buffer.isBuffer(content) ? 1 : (content as DerNode[]).reduce((sum, node) => sum + countNodes(node), 1);

const tags = [
  0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0c, 0x17, 0x18, 0x30, 0x31, 0x80, 0x82, 0x87, 0xa0, 0xa1, 0xa3, 0x1f,
];

/** Flips one bit in the content of an element. */
const bitFlips: fc.Arbitrary<Change> = place.map(
  (bit): Change =>
    (node) => {
      const content = Buffer.isBuffer(node.content) ? Buffer.from(node.content) : encodeNode(node);
      const at = (bit >> 3) % Math.max(1, content.length);
      content[at] = (content[at] ?? 0) ^ (1 << (bit & 7));
      return [{ tag: node.tag, content }];
    },
);

/** Changes of an element that leave everything around it well formed. `others` supplies replacements. */
const changes = (others: readonly DerNode[]): fc.Arbitrary<Change> =>
  fc.oneof(
    fc.constant<Change>(() => []),
    fc.constant<Change>((node) => [node, node]),
    fc.constant<Change>((node) =>
      Buffer.isBuffer(node.content) ? [node] : [{ ...node, content: (node.content as DerNode[]).toReversed() }],
    ),
    fc.constant<Change>((node) => [{ tag: node.tag, content: Buffer.alloc(0) }]),
    fc.constantFrom(...tags).map(
      (tag): Change =>
        (node) => [{ ...node, tag }],
    ),
    fc.uint8Array({ maxLength: 24 }).map(
      (octets): Change =>
        ({ tag }) => [{ tag, content: Buffer.from(octets) }],
    ),
    { arbitrary: bitFlips, weight: 8 },
    fc.tuple(fc.constantFrom(...others), place).map(
      ([other, number]): Change =>
        () => [pick(other, number)],
    ),
    fc.constantFrom(3, 30, 3000).map(
      (depth): Change =>
        (node) => {
          let content = encodeNode(node);
          for (let level = 0; level < depth; level += 1) content = wrapped(node.tag | 0x20, content);
          return [{ tag: node.tag | 0x20, content }];
        },
    ),
  );

function pick(root: DerNode, number: number): DerNode {
  let found = root;
  changeNode(root, number, (node) => {
    found = node;
    return [node];
  });
  return found;
}

/** Changes of octets that ignore the structure. */
const octetChanges: fc.Arbitrary<(der: Buffer) => Buffer> = fc
  .tuple(place, fc.nat({ max: 12 }), fc.uint8Array({ maxLength: 8 }))
  .chain(([where, count, octets]) => {
    const at = (der: Buffer): number => where % (der.length + 1);
    const splice = (der: Buffer, remove: number, insert: Uint8Array): Buffer =>
      Buffer.concat([der.subarray(0, at(der)), insert, der.subarray(at(der) + remove)]);
    return fc.constantFrom(
      (der: Buffer) => splice(der, 1, Buffer.of((der[at(der)] ?? 0) ^ (1 << (count % 8)))),
      (der: Buffer) => der.subarray(0, at(der)),
      (der: Buffer) => splice(der, 0, octets),
      (der: Buffer) => splice(der, count, Buffer.alloc(0)),
      (der: Buffer) => splice(der, octets.length, octets),
      // Lengths: indefinite, longer than the input, four gibibytes, and with too few octets.
      (der: Buffer) => splice(der, 1, Buffer.of(0x80)),
      (der: Buffer) => splice(der, 1, Buffer.of(0x7f)),
      (der: Buffer) => splice(der, 1, Buffer.of(0x84, 0xff, 0xff, 0xff, 0xff)),
      (der: Buffer) => splice(der, 1, Buffer.of(0xff)),
      (der: Buffer) => Buffer.concat([der, der]),
    );
  });

/** Mostly a single change: input with many errors fails at the first check. */
const severalTimes = <T>(change: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.oneof(
    { arbitrary: fc.tuple(change), weight: 4 },
    { arbitrary: fc.array(change, { minLength: 2, maxLength: 3 }), weight: 1 },
  );

/** Mutated DER: three times in four by its structure, otherwise by its octets. */
export const spoilt = (samples: readonly Buffer[]): fc.Arbitrary<{ sample: Buffer; der: Buffer }> => {
  const roots = samples.flatMap(derNodes);
  const structured = fc
    .tuple(severalTimes(fc.tuple(place, changes(roots))), fc.nat({ max: samples.length - 1 }))
    .map(([all, index]) => {
      const sample = samples[index] ?? Buffer.alloc(0);
      const nodes = all.reduce<readonly DerNode[]>(
        (now, [number, change]) => now.flatMap((node) => changeNode(node, number, change)),
        derNodes(sample),
      );
      return { sample, der: Buffer.concat(nodes.map(encodeNode)) };
    });
  const unstructured = fc
    .tuple(severalTimes(octetChanges), fc.constantFrom(...samples))
    .map(([all, sample]) => ({ sample, der: all.reduce((der, change) => change(der), sample) }));
  return fc.oneof({ arbitrary: structured, weight: 3 }, { arbitrary: unstructured, weight: 1 });
};
