/**
 * True for two values that JSON can hold and that say the same, in whatever order of keys. What is the same object is not
 * looked into, which is what makes this worth having beside node's own: most of what is compared is.
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
