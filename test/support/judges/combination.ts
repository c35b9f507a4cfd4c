import { randomFrom } from '../random.ts';
/** The kinds of certificate that are judged: every choice that a request and an authority have. */
export const dimensions = {
  /** Of the leaf. */
  key: ['RSA-2048', 'RSA-3072', 'RSA-4096', 'ECDSA-256', 'ECDSA-384', 'ECDSA-521', 'Ed25519'],
  signerKey: ['RSA-2048', 'RSA-3072', 'RSA-4096', 'ECDSA-256', 'ECDSA-384', 'ECDSA-521', 'Ed25519'],
  /**
   * The operator's root; a root from openssl; an intermediate below a root; the operator's root in a bundle with its
   * predecessor.
   */
  signer: ['issued', 'brought', 'intermediate', 'rotation'],
  role: ['server', 'client', 'peer'],
  names: ['service', 'dns', 'wildcard', 'long', 'ipv4', 'ipv6', 'uri', 'email', 'otherName', 'all'],
  /** Empty makes the subjectAltName extension critical. commonName is a DNS name that is not among the alternative names. */
  subject: ['empty', 'commonName', 'full', 'nonAscii', 'long'],
  encoding: ['PKCS8', 'traditional'],
} as const;

type Dimension = keyof typeof dimensions;

/**
 * RSA-8192 is not a value of the dimensions, because its keys take seconds to generate. It has one combination, `largest`.
 */
export type KeyKind = (typeof dimensions.key)[number] | 'RSA-8192';

export type Combination = {
  readonly [D in Exclude<Dimension, 'key' | 'signerKey'>]: (typeof dimensions)[D][number];
} & {
  readonly key: KeyKind;
  readonly signerKey: KeyKind;
};

export const describeCombination = (combination: Combination): string => Object.values(combination).join(' ');

/** The largest allowed key, in one combination. */
export const largest: Combination = {
  key: 'RSA-8192',
  signerKey: 'RSA-8192',
  signer: 'issued',
  role: 'server',
  names: 'dns',
  subject: 'commonName',
  encoding: 'PKCS8',
};

/**
 * Only servers have Services. Ed25519 keys have no encoding other than PKCS#8. The operator does not issue certificates
 * that have otherNames only and no subject.
 */
const isPossible = ({ role, names, key, encoding, subject }: Combination): boolean =>
  !(role === 'client' && names === 'service') &&
  !(key === 'Ed25519' && encoding === 'traditional') &&
  !(names === 'otherName' && subject === 'empty');

/**
 * Combinations that cover every pair of values of two dimensions; at least `atLeast` of them, which then cover as many
 * triples as possible. Equal seeds give equal lists, and a shorter list is a prefix of a longer one.
 */
export function coveringCombinations(seed: number, atLeast = 0): Combination[] {
  const random = randomFrom(seed);
  const rows: Combination[] = [];
  const pairs = new Set(shuffled(possiblePairs(), random));
  const triples = new Set<string>();
  while (pairs.size > 0 || rows.length < atLeast) {
    const [pair] = pairs;
    const gain = (row: Combination) =>
      pair === undefined
        ? tuplesOf(row, 3).filter((triple) => !triples.has(triple)).length
        : tuplesOf(row, 2).filter((other) => pairs.has(other)).length;
    const row = best(candidates(pair, random), gain);
    for (const covered of tuplesOf(row, 2)) pairs.delete(covered);
    for (const covered of tuplesOf(row, 3)) triples.add(covered);
    rows.push(row);
  }
  return rows;
}

/** The possible pairs that a list does not cover. */
export function missingPairs(rows: readonly Combination[]): string[] {
  const covered = new Set(rows.flatMap((row) => tuplesOf(row, 2)));
  return possiblePairs().filter((pair) => !covered.has(pair));
}

const names = Object.keys(dimensions) as Dimension[];

/** Pairs or triples of dimensions with their values, as text. */
function tuplesOf(row: Combination, size: 2 | 3): string[] {
  const parts = names.map((name) => `${name}=${row[name]}`);
  return parts.flatMap((first, i) =>
    parts
      .slice(i + 1)
      .flatMap((second, j) =>
        size === 2 ? [`${first} ${second}`] : parts.slice(i + j + 2).map((third) => `${first} ${second} ${third}`),
      ),
  );
}

let knownPairs: readonly string[] | undefined;

function possiblePairs(): readonly string[] {
  const partial = (chosen: Partial<Combination>) => ({ ...plain, ...chosen }) as Combination;
  knownPairs ??= names.flatMap((a, i) =>
    names
      .slice(i + 1)
      .flatMap((b) =>
        dimensions[a].flatMap((valueA) =>
          dimensions[b]
            .filter((valueB) => isPossible(partial({ [a]: valueA, [b]: valueB })))
            .map((valueB) => `${a}=${valueA} ${b}=${valueB}`),
        ),
      ),
  );
  return knownPairs;
}

/** A combination that is possible with any single other value. */
const plain: Combination = {
  key: 'ECDSA-256',
  signerKey: 'ECDSA-256',
  signer: 'issued',
  role: 'server',
  names: 'dns',
  subject: 'commonName',
  encoding: 'PKCS8',
};

/** Random combinations that contain a pair. */
function candidates(pair: string | undefined, random: () => number): Combination[] {
  const chosen = Object.fromEntries((pair ?? '').split(' ').map((part) => part.split('=')));
  const found: Combination[] = [];
  while (found.length < 50) {
    const row = Object.fromEntries(names.map((name) => [name, pick(dimensions[name], random)]));
    const candidate = { ...row, ...(pair === undefined ? {} : chosen) } as unknown as Combination;
    if (isPossible(candidate)) found.push(candidate);
  }
  return found;
}

function best(rows: readonly Combination[], gain: (row: Combination) => number): Combination {
  const [first = { row: plain }] = rows.map((row) => ({ row, gain: gain(row) })).sort((a, b) => b.gain - a.gain);
  return first.row;
}

const pick = <T>(values: readonly T[], random: () => number): T | undefined =>
  values[Math.floor(random() * values.length)];

const shuffled = <T>(values: readonly T[], random: () => number): T[] =>
  values
    .map((value) => ({ value, order: random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ value }) => value);
