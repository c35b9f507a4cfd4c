/** First in, first out, at the same small cost however many wait: an Array moves all of a long tail with every shift. */
export class Fifo<V> {
  #items: (V | undefined)[] = [];
  #taken = 0;

  get length(): number {
    return this.#items.length - this.#taken;
  }

  /** The oldest; undefined when there is none. */
  get first(): V | undefined {
    return this.#items[this.#taken];
  }

  push(value: V): void {
    this.#items.push(value);
  }

  /** Takes the oldest; undefined when there is none. */
  shift(): V | undefined {
    if (this.length === 0) return undefined;
    const value = this.#items[this.#taken];
    this.#items[this.#taken] = undefined;
    this.#taken += 1;
    // Now and then: for every value that is moved, one has been taken.
    if (this.#taken >= this.length) {
      this.#items = this.#items.slice(this.#taken);
      this.#taken = 0;
    }
    return value;
  }
}
