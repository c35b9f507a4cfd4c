/** The value in the middle; of an even number the upper one. NaN when there is none. */
export const median = (values: readonly number[]): number => percentile(values, 50);

/** The smallest value that `percent` of all are not above (nearest rank). NaN when there is none. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = Math.ceil((percent / 100) * sorted.length) - 1;
  return sorted[Math.min(sorted.length - 1, Math.max(0, rank))] ?? Number.NaN;
}

/** How far the values lie apart: the lowest and the highest. */
export const spread = (values: readonly number[]): { readonly lowest: number; readonly highest: number } => ({
  lowest: Math.min(...values),
  highest: Math.max(...values),
});
