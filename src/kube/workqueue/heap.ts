/** A binary min-heap of values, ordered by time. */
export class Heap<V> {
  readonly #items: { readonly at: number; readonly value: V }[] = [];

  get length(): number {
    return this.#items.length;
  }

  peek(): { readonly at: number; readonly value: V } | undefined {
    return this.#items[0];
  }

  push(at: number, value: V): void {
    const items = this.#items;
    const item = { at, value };
    let index = items.push(item) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = items[parent];
      if (above === undefined || above.at <= at) break;
      items[index] = above;
      index = parent;
    }
    items[index] = item;
  }

  pop(): { readonly at: number; readonly value: V } | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (top === undefined || last === undefined || items.length === 0) return top;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      const right = left + 1;
      const smaller = (items[right]?.at ?? Infinity) < (items[left]?.at ?? Infinity) ? right : left;
      const below = items[smaller];
      if (below === undefined || below.at >= last.at) break;
      items[index] = below;
      index = smaller;
    }
    items[index] = last;
    return top;
  }

  clear(): void {
    this.#items.length = 0;
  }
}
