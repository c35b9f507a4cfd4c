/** Does the work for every item, at most `width` items at a time. */
export async function inParallel<T>(
  items: Iterable<T>,
  work: (item: T) => Promise<unknown>,
  width: number = 8,
): Promise<void> {
  // All workers share one iterator.
  const rest = Iterator.from(items);
  const worker = async (): Promise<void> => {
    for (const item of rest) await work(item);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
