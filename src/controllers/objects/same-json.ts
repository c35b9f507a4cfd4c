/**
 * True for two equal JSON values, whatever the order of their keys. Identical objects are equal without a comparison of their
 * fields: most compared values are identical, so this is faster than Node's isDeepStrictEqual.
 */
export function isSameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  const [left, right] = [a, b] as Readonly<Record<string, unknown>>[];
  return keys.every((key) => Object.hasOwn(b, key) && isSameJson(left?.[key], right?.[key]));
}
