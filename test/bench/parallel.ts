/** Does `total` pieces of work, `width` at a time; fails with the first that does. */
export async function inParallel(
  width: number,
  total: number,
  work: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < total; i = next++) await work(i);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
