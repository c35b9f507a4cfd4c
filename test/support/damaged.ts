import * as fc from './properties.ts';

const pathsOf = (value: unknown): string[][] =>
  typeof value !== 'object' || value === null
    ? [[]]
    : [[], ...Object.entries(value).flatMap(([key, part]) => pathsOf(part).map((path) => [key, ...path]))];

/** A copy in which `change` replaces the value at a path. Undefined removes it. */
function withChange(value: unknown, [key, ...rest]: readonly string[], change: (part: unknown) => unknown): unknown {
  if (key === undefined) return change(value);
  if (typeof value !== 'object' || value === null) return value;
  const parts = Object.entries(value).flatMap(([name, part]) => {
    const next = name === key ? withChange(part, rest, change) : part;
    return next === undefined ? [] : [[name, next] as const];
  });
  return Array.isArray(value) ? parts.map(([, part]) => part) : Object.fromEntries(parts);
}

const digest = 'a'.repeat(64);
const numbers = [0, -1, 1.5, 2 ** 31 - 1, 2 ** 31, Number.MAX_SAFE_INTEGER, 1e300];
const texts = ['', ' ', 'x', 'a', 'A1', '0x1', digest, digest.toUpperCase(), `${digest}\n`, 'x'.repeat(40_000)];
const names = ['server', 'Ready', 'Distributing'];
const dates = ['2026-02-30T00:00:00Z', '9999-12-31T23:59:59Z', '0000-01-01T00:00:00Z', '+275760-09-13T00:00:00Z'];
const noDates = ['never', '2026-03-01T12:00:00+01:00', '2026-03-01 12:00:00', '2026-03-01T24:00:00Z'];
const constants: readonly unknown[] = [
  null,
  true,
  [],
  {},
  [null],
  ...numbers,
  ...texts,
  ...names,
  ...dates,
  ...noDates,
];

/** Changes of one part of a status: another value, or a list with more entries. */
const changes: fc.Arbitrary<(part: unknown) => unknown> = fc.oneof(
  fc.constantFrom(...constants).map((value) => () => value),
  fc.anything().map((value) => () => value),
  fc.constant(() => undefined),
  fc.constant((part: unknown) => (Array.isArray(part) ? [...part, ...part] : [part, part])),
  fc.constant((part: unknown) => (Array.isArray(part) ? Array.from({ length: 10_000 }, () => part[0]) : part)),
  fc.constant((part: unknown) =>
    Array.isArray(part) ? Array.from({ length: 400 }, (_, i) => ({ ...part[0], serialNumber: i.toString(16) })) : part,
  ),
);

/** Statuses with a few damaged parts, and arbitrary values instead of a status. */
export const damaged = (good: unknown): fc.Arbitrary<unknown> => {
  const change = fc.constantFrom(...pathsOf(good)).chain((path) => {
    const type = typeof path.reduce((part, key) => (part as Record<string, unknown>)[key], good);
    const alike = constants.filter((value) => typeof value === type).map((value) => () => value);
    return fc.tuple(fc.constant(path), fc.oneof(changes, fc.constantFrom(...alike)));
  });
  const few = fc.array(change, { minLength: 1, maxLength: 4 });
  const near = few.map((all) => all.reduce((status, [path, apply]) => withChange(status, path, apply), good));
  return fc.oneof({ arbitrary: near, weight: 9 }, { arbitrary: fc.anything(), weight: 1 });
};
