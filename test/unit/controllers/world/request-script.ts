import { KubeError, type KubeErrorCode } from '../../../../src/kube/index.ts';
import type { MemoryClient } from './memory-client.ts';

/** What a test does in the middle of a request. */
type Interruption = (request: string) => unknown;

/** The requests of a client, and what the test does right before one of them. Requests are written as in OnRequest. */
export class RequestScript {
  /** The requests so far. A test may empty the list. */
  readonly requests: string[] = [];
  readonly #before = new Map<string, Interruption[]>();

  constructor(client: MemoryClient) {
    client.onRequest = async (request, moment) => {
      if (moment !== 'before') return;
      this.requests.push(request);
      for (const interrupt of this.#before.get(request)?.splice(0, 1) ?? []) await interrupt(request);
    };
  }

  /** Does something before the next request of these words; called again, before the one after it. */
  readonly before = (request: string, interrupt: Interruption): void => {
    this.#before.set(request, [...(this.#before.get(request) ?? []), interrupt]);
  };

  /** The next requests of these words fail. */
  readonly refuse = (request: string, code: KubeErrorCode = 'Forbidden', times = 1): void => {
    for (let i = 0; i < times; i += 1) {
      this.before(request, () => {
        throw new KubeError(code, 'exceeded quota');
      });
    }
  };
}
