import { randomFrom } from '../random.ts';
/** The kinds of certificate that are judged: every choice that a request and an authority leave open. */
export const dimensions = {
  /** Of the leaf. */
  key: ['RSA-2048', 'RSA-3072', 'RSA-4096', 'ECDSA-256', 'ECDSA-384', 'ECDSA-521', 'Ed25519'],
  signerKey: ['RSA-2048', 'RSA-3072', 'RSA-4096', 'ECDSA-256', 'ECDSA-384', 'ECDSA-521', 'Ed25519'],
  /** A root of ours; one that openssl made; an intermediate below a root; a root of ours in a bundle with its predecessor. */
  signer: ['issued', 'brought', 'intermediate', 'rotation'],
  role: ['server', 'client', 'peer'],
  names: ['service', 'dns', 'wildcard', 'long', 'ipv4', 'ipv6', 'uri', 'email', 'otherName', 'all'],
  /** Empty, so that the alternative names are critical; a DNS name that is no alternative name; and so on. */
  subject: ['empty', 'commonName', 'full', 'nonAscii', 'long'],
  encoding: ['PKCS8', 'traditional'],
} as const;

type Dimension = keyof typeof dimensions;

/** RSA-8192 is no value of the dimensions, since its keys take seconds to make: it has a combination of its own. */
export type KeyKind = (typeof dimensions.key)[number] | 'RSA-8192';

export type Combination = {
  readonly [D in Exclude<Dimension, 'key' | 'signerKey'>]: (typeof dimensions)[D][number];
} & {
  readonly key: KeyKind;
  readonly signerKey: KeyKind;
};

export const describeCombination = (combination: Combination): string => Object.values(combination).join(' ');

/** The largest key that can be asked for, once. */
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
 * Only servers have Services, Ed25519 has no encoding of its own beside PKCS#8, and otherNames alone are not issued without
 * a subject.
 */
const isPossible = ({ role, names, key, encoding, subject }: Combination): boolean =>
  !(role === 'client' && names === 'service') &&
  !(key === 'Ed25519' && encoding === 'traditional') &&
  !(names === 'otherName' && subject === 'empty');

/**
 * As many combinations as it takes for every two values of two dimensions to come together, and at least so many; then
 * with as many triples as can be. Equal seeds give equal lists, and a shorter list is the beginning of a longer one.
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

/** The pairs that a list leaves out. */
export function missingPairs(rows: readonly Combination[]): string[] {
  const covered = new Set(rows.flatMap((row) => tuplesOf(row, 2)));
  return possiblePairs().filter((pair) => !covered.has(pair));
}

const names = Object.keys(dimensions) as Dimension[];

/** Of two or three dimensions with their values, as text. */
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

/** Allows all others whatever they are. */
const plain: Combination = {
  key: 'ECDSA-256',
  signerKey: 'ECDSA-256',
  signer: 'issued',
  role: 'server',
  names: 'dns',
  subject: 'commonName',
  encoding: 'PKCS8',
};

/** Combinations by chance that hold a pair. */
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
