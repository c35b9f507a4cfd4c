import { KubeError, type KubeErrorCode } from '../../../../src/kube/index.ts';
import type { MemoryClient } from './memory-client.ts';

/** An action of a test in the middle of a request. */
type Interruption = (request: string) => unknown;

/** Records the requests of a client, and runs actions of the test right before some of them. See OnRequest for their form. */
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

  /** Runs an action before the next request with this text. A second call adds an action for the request after it. */
  readonly before = (request: string, interrupt: Interruption): void => {
    this.#before.set(request, [...(this.#before.get(request) ?? []), interrupt]);
  };

  /** Lets the next requests with this text fail. */
  readonly refuse = (request: string, code: KubeErrorCode = 'Forbidden', times = 1): void => {
    for (let i = 0; i < times; i += 1) {
      this.before(request, () => {
        throw new KubeError(code, 'exceeded quota');
      });
    }
  };
}
