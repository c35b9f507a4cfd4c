import { createHash } from 'node:crypto';

/** The answer about a token. `busy`: too many tokens are being checked. `unavailable`: the check failed. */
export type TokenVerdict = CheckedVerdict | 'busy' | 'unavailable';
type CheckedVerdict = 'allowed' | 'forbidden' | 'unauthenticated';

export interface TokenGateOptions {
  /** Asks the API server about a token. Throws if there is no answer. */
  readonly check: (token: string) => Promise<CheckedVerdict>;
  /** Called when a check throws. */
  readonly onError: (error: unknown) => void;
  /** Milliseconds of a monotonic clock. */
  readonly monotonicMs?: () => number;
}

/** How long an answer is used. A right that is taken away ends after this time, and a new one begins. */
export const verdictLifetimeMs = 10_000;

/** Prometheus and its tokens are few. Each entry is a hash and a time. */
const mostKnown = 100;
const mostRefused = 1000;

/** A token that was accepted lately is checked again even while many others are being tried. */
const concurrentKnown = 4;
const concurrentUnknown = 2;

/** How many tokens of one client that were never accepted are checked: at once, and per second on average. */
const burst = 10;
const perSecond = 1;
const mostClients = 1000;

/** A token of a ServiceAccount has about a kilobyte, one of a large OIDC provider a few. */
const longestToken = 8192;

interface Entry {
  readonly verdict: CheckedVerdict;
  readonly endsAtMs: number;
}

/**
 * Decides about bearer tokens. Answers are cached for a short time under a hash, so that no token stays in memory. A client that
 * tries many tokens makes the operator send few requests to the API server: each client has a limited rate of tokens that were
 * never accepted. Other clients have their own rate, so that Prometheus is not kept out when its token is replaced.
 */
export class TokenGate {
  readonly #check: TokenGateOptions['check'];
  readonly #onError: TokenGateOptions['onError'];
  readonly #now: () => number;
  /** Tokens that were accepted, the least recently checked first. An entry stays when its time is over. */
  readonly #known = new Map<string, Entry>();
  readonly #refused = new Map<string, Entry>();
  readonly #running = new Map<string, Promise<TokenVerdict>>();
  #knownRunning = 0;
  #unknownRunning = 0;
  /** By address: how many more tokens may be checked, and when that was true. The client that came last is the last. */
  readonly #budgets = new Map<string, { readonly left: number; readonly atMs: number }>();

  constructor({ check, onError, monotonicMs = () => performance.now() }: TokenGateOptions) {
    this.#check = check;
    this.#onError = onError;
    this.#now = monotonicMs;
  }

  /** Decides about a token that a client sent from this address. Never throws. */
  decide(token: string, address: string): Promise<TokenVerdict> {
    if (token.length > longestToken) return Promise.resolve('unauthenticated');
    const key = createHash('sha256').update(token).digest('base64');
    const entry = this.#known.get(key) ?? this.#refused.get(key);
    if (entry !== undefined && this.#now() < entry.endsAtMs) return Promise.resolve(entry.verdict);
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const isKnown = this.#known.has(key);
    const mayCheck = isKnown ? this.#knownRunning < concurrentKnown : this.#mayTry(address);
    if (!mayCheck) return Promise.resolve('busy');
    const decision = this.#ask(key, token, isKnown).finally(() => this.#running.delete(key));
    this.#running.set(key, decision);
    return decision;
  }

  #mayTry(address: string): boolean {
    const atMs = this.#now();
    const before = this.#budgets.get(address);
    const left =
      before === undefined ? burst : Math.min(burst, before.left + ((atMs - before.atMs) / 1000) * perSecond);
    const mayCheck = left >= 1 && this.#unknownRunning < concurrentUnknown;
    setBounded(this.#budgets, address, { left: mayCheck ? left - 1 : left, atMs }, mostClients);
    return mayCheck;
  }

  async #ask(key: string, token: string, isKnown: boolean): Promise<TokenVerdict> {
    const change = (by: 1 | -1): void => {
      if (isKnown) this.#knownRunning += by;
      else this.#unknownRunning += by;
    };
    change(1);
    try {
      const verdict = await this.#check(token);
      this.#remember(key, { verdict, endsAtMs: this.#now() + verdictLifetimeMs });
      return verdict;
    } catch (error) {
      // The caller refuses the request, and the next one is checked again.
      this.#onError(error);
      return 'unavailable';
    } finally {
      change(-1);
    }
  }

  #remember(key: string, entry: Entry): void {
    this.#known.delete(key);
    this.#refused.delete(key);
    if (entry.verdict === 'allowed') setBounded(this.#known, key, entry, mostKnown);
    else setBounded(this.#refused, key, entry, mostRefused);
  }
}

/** Sets an entry as the newest, and drops the oldest one when there are too many. */
function setBounded<V>(map: Map<string, V>, key: string, value: V, most: number): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > most && oldest !== undefined) map.delete(oldest);
}
