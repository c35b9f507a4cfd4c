/** The workers of the operator. A flow that waits gets its turn before another flow has had this many more answers. */
export const mostLead = 32;

/** The flows of a request: the operator is fair between namespaces, and in each namespace between its nodes. */
export interface Flow {
  readonly namespace: string;
  readonly node: string;
}

/**
 * The flows of the requests in a burst, with very different numbers: the first namespace has a hundred times as many as the last,
 * and in each namespace one node has more than half. The largest come first: without turns, the smallest would be answered last.
 */
export function unevenBurst(count: number, namespaces: readonly string[], nodes: readonly string[]): readonly Flow[] {
  const weights = namespaces.map((_, index) => (namespaces.length - index) ** 2);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let before = 0;
  return namespaces.flatMap((namespace, index) => {
    const first = Math.round((count * before) / total);
    before += weights[index] ?? 0;
    const size = Math.round((count * before) / total) - first;
    return Array.from({ length: size }, (_, i) => ({
      namespace,
      node: nodes[(i < size / 2 ? index : i) % nodes.length] ?? '',
    }));
  });
}

/** In the order of the API server: a request was created, or got its answer. */
interface RequestEvent extends Flow {
  readonly isAnswer: boolean;
}

/** The order in which requests are created and answered. */
export class AnswerOrder {
  readonly #events: RequestEvent[] = [];
  readonly #created = new Set<string>();
  readonly #answered = new Set<string>();

  get created(): number {
    return this.#created.size;
  }

  get answered(): number {
    return this.#answered.size;
  }

  /** Notes a version of a request. `key` identifies the request. */
  see(key: string, flow: Flow, isAnswered: boolean): void {
    if (!this.#created.has(key)) this.#note(this.#created, key, { ...flow, isAnswer: false });
    if (isAnswered && !this.#answered.has(key)) this.#note(this.#answered, key, { ...flow, isAnswer: true });
  }

  #note(known: Set<string>, key: string, event: RequestEvent): void {
    known.add(key);
    this.#events.push(event);
  }

  /** How many more answers one namespace got than another, see largestLead. */
  get leadOfNamespace(): number {
    return largestLead(this.#events, ({ namespace }) => namespace);
  }

  /** How many more answers one node got than another node of the same namespace, see largestLead. */
  get leadOfNode(): number {
    const byNamespace = Map.groupBy(this.#events, ({ namespace }) => namespace);
    return Math.max(0, ...byNamespace.values().map((events) => largestLead(events, ({ node }) => node)));
  }
}

/** The most answers that one flow got more than another during a time in which the other always had a request that waited. */
function largestLead(events: readonly RequestEvent[], flowOf: (flow: Flow) => string): number {
  const waiting = new Map<string, number>();
  /** By flow that waits, then by flow that is ahead. */
  const leads = new Map<string, Map<string, number>>();
  let largest = 0;
  for (const event of events) {
    const flow = flowOf(event);
    const left = (waiting.get(flow) ?? 0) + (event.isAnswer ? -1 : 1);
    waiting.set(flow, left);
    const own = leads.get(flow) ?? new Map<string, number>();
    if (left === 0) leads.delete(flow);
    else leads.set(flow, own);
    if (!event.isAnswer) continue;
    for (const [other, lead] of own) own.set(other, Math.max(0, lead - 1));
    for (const [behind, ahead] of leads) {
      if (behind === flow) continue;
      const lead = (ahead.get(flow) ?? 0) + 1;
      ahead.set(flow, lead);
      largest = Math.max(largest, lead);
    }
  }
  return largest;
}
