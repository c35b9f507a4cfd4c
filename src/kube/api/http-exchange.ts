import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { Deadline } from './deadline.ts';

/** What the server answered, whatever its status. */
export interface HttpResponse {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: string;
}

/** One way to send a request and have its answer. */
export type SendRequest<A extends HttpResponse> = (
  dispatcher: Dispatcher,
  request: Dispatcher.DispatchOptions,
  deadline: Deadline,
) => Promise<A>;

/**
 * Sends one request, once, and reads all of its answer. Rejects with what undici says went wrong, and when the deadline is
 * over before the request has a connection, with the deadline's error at once: of that request nothing will ever be sent.
 */
export function sendRequest(
  dispatcher: Dispatcher,
  request: Dispatcher.DispatchOptions,
  deadline: Deadline,
): Promise<HttpResponse> {
  // Not `dispatcher.request`: its stream for every answer and its listener on a signal are a fifth of what a call costs.
  return new Promise((resolve, reject) => {
    const reader = new ResponseReader(deadline, resolve, reject);
    deadline.onOver = () => reader.cut();
    dispatcher.dispatch(request, reader);
  });
}

/** The same for an answer that goes on for long: `stream` is the body of a success, for `body` is then none. */
export async function openResponse(
  dispatcher: Dispatcher,
  request: Dispatcher.DispatchOptions,
  deadline: Deadline,
): Promise<HttpResponse & { readonly stream: Readable }> {
  // The signal alone ends nothing before the request has a connection: an API server may accept one and stay silent.
  const answer = dispatcher.request({ ...request, signal: deadline.signal });
  const { statusCode, headers, body } = await deadline.within(answer);
  const text = statusCode < 300 ? '' : await body.text().catch(() => '');
  return { status: statusCode, retryAfter: single(headers['retry-after']), body: text, stream: body };
}

class ResponseReader implements Dispatcher.DispatchHandler {
  readonly #deadline: Deadline;
  readonly #resolve: (answer: HttpResponse) => void;
  readonly #reject: (error: Error) => void;
  /** There as soon as the request has a connection. */
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  #retryAfter: string | undefined;
  readonly #chunks: Buffer[] = [];

  constructor(deadline: Deadline, resolve: (answer: HttpResponse) => void, reject: (error: Error) => void) {
    this.#deadline = deadline;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Ends it because the deadline is over. */
  cut(): void {
    if (this.#controller === undefined) this.#reject(this.#deadline.error(false));
    else this.#controller.abort(new Error('the deadline is over'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Thrown, it takes the request out of the queue and leaves the connection to the next; abort would close it.
    if (this.#deadline.isOver) throw this.#deadline.error(false);
    this.#controller = controller;
  }

  onResponseStart(_: unknown, status: number, headers: Readonly<Record<string, string | string[] | undefined>>): void {
    this.#status = status;
    this.#retryAfter = single(headers['retry-after']);
  }

  onResponseData(_: unknown, chunk: Buffer): void {
    this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    this.#deadline.onOver = undefined;
    const [first, ...more] = this.#chunks;
    const bytes = first === undefined || more.length > 0 ? Buffer.concat(this.#chunks) : first;
    this.#resolve({ status: this.#status, retryAfter: this.#retryAfter, body: bytes.toString() });
  }

  onResponseError(_: unknown, error: Error): void {
    this.#deadline.onOver = undefined;
    // A refusal whose body was cut off is still that refusal.
    if (this.#status >= 300) this.#resolve({ status: this.#status, retryAfter: this.#retryAfter, body: '' });
    else this.#reject(error);
  }
}

const single = (header: string | string[] | undefined): string | undefined =>
  typeof header === 'string' ? header : undefined;
