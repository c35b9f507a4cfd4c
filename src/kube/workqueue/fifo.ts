/** A first-in, first-out queue with constant cost per item. Array.shift moves all remaining items of a long array. */
export class Fifo<V> {
  #items: (V | undefined)[] = [];
  #taken = 0;

  get length(): number {
    return this.#items.length - this.#taken;
  }

  /** The oldest item, without removing it. */
  get first(): V | undefined {
    return this.#items[this.#taken];
  }

  push(value: V): void {
    this.#items.push(value);
  }

  /** Removes and returns the oldest item. */
  shift(): V | undefined {
    if (this.length === 0) return undefined;
    const value = this.#items[this.#taken];
    this.#items[this.#taken] = undefined;
    this.#taken += 1;
    // Amortised constant cost: at most as many items are moved now as were removed before.
    if (this.#taken >= this.length) {
      this.#items = this.#items.slice(this.#taken);
      this.#taken = 0;
    }
    return value;
  }
}
