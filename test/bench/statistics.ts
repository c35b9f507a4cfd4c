/** The median by nearest rank. NaN for no values. */
export const median = (values: readonly number[]): number => percentile(values, 50);

/** The smallest value that at least `percent` of all values do not exceed (nearest rank). NaN for no values. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = Math.ceil((percent / 100) * sorted.length) - 1;
  return sorted[Math.min(sorted.length - 1, Math.max(0, rank))] ?? Number.NaN;
}

/** The lowest and the highest value. */
export const spread = (values: readonly number[]): { readonly lowest: number; readonly highest: number } => ({
  lowest: Math.min(...values),
  highest: Math.max(...values),
});
