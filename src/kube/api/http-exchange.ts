import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import type { Deadline } from './deadline.ts';

/** The answer of the server, with any status. */
export interface HttpResponse {
  readonly status: number;
  readonly retryAfter: string | undefined;
  /** The header Date: when the server sent the answer. */
  readonly date: string | undefined;
  readonly body: string;
}

/** Sends a request and returns its answer. */
export type SendRequest<A extends HttpResponse> = (
  dispatcher: Dispatcher,
  request: Dispatcher.DispatchOptions,
  deadline: Deadline,
) => Promise<A>;

/**
 * Sends a request once and reads the whole answer. Rejects with the error of undici. If the deadline is over before the request
 * has a connection, rejects at once with the error of the deadline; the request is then never sent.
 */
export function sendRequest(
  dispatcher: Dispatcher,
  request: Dispatcher.DispatchOptions,
  deadline: Deadline,
): Promise<HttpResponse> {
  // `dispatcher.request` would create a stream and a signal listener for each answer, which is a fifth of the cost of a call.
  return new Promise((resolve, reject) => {
    const reader = new ResponseReader(deadline, resolve, reject);
    deadline.onOver = () => reader.cut();
    dispatcher.dispatch(request, reader);
  });
}

/** Sends a request and returns as soon as the answer begins. After a success, `stream` is the body and `body` is empty. */
export async function openResponse(
  dispatcher: Dispatcher,
  request: Dispatcher.DispatchOptions,
  deadline: Deadline,
): Promise<HttpResponse & { readonly stream: Readable }> {
  // undici ignores `signal` while a request waits for a connection, so `deadline.within` rejects at the deadline.
  const answer = dispatcher.request({ ...request, signal: deadline.signal });
  const { statusCode, headers, body } = await deadline.within(answer);
  const text = statusCode < 300 ? '' : await body.text().catch(() => '');
  return { status: statusCode, ...headersOf(headers), body: text, stream: body };
}

class ResponseReader implements Dispatcher.DispatchHandler {
  readonly #deadline: Deadline;
  readonly #resolve: (answer: HttpResponse) => void;
  readonly #reject: (error: Error) => void;
  /** Set as soon as the request has a connection. */
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  #headers: Pick<HttpResponse, 'retryAfter' | 'date'> = headersOf({});
  readonly #chunks: Buffer[] = [];

  constructor(deadline: Deadline, resolve: (answer: HttpResponse) => void, reject: (error: Error) => void) {
    this.#deadline = deadline;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Ends the request because the deadline is over. */
  cut(): void {
    if (this.#controller === undefined) this.#reject(this.#deadline.error(false));
    else this.#controller.abort(new Error('the deadline is over'));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Throwing removes the request from the queue and keeps the connection for the next request. abort() would close it.
    if (this.#deadline.isOver) throw this.#deadline.error(false);
    this.#controller = controller;
  }

  onResponseStart(_: unknown, status: number, headers: Headers): void {
    this.#status = status;
    this.#headers = headersOf(headers);
  }

  onResponseData(_: unknown, chunk: Buffer): void {
    this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    this.#deadline.onOver = undefined;
    const [first, ...more] = this.#chunks;
    const bytes = first === undefined || more.length > 0 ? Buffer.concat(this.#chunks) : first;
    this.#resolve({ status: this.#status, ...this.#headers, body: bytes.toString() });
  }

  onResponseError(_: unknown, error: Error): void {
    this.#deadline.onOver = undefined;
    // An error status is still valid if its body is truncated.
    if (this.#status >= 300) this.#resolve({ status: this.#status, ...this.#headers, body: '' });
    else this.#reject(error);
  }
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

const headersOf = (headers: Headers): Pick<HttpResponse, 'retryAfter' | 'date'> => ({
  retryAfter: single(headers['retry-after']),
  date: single(headers['date']),
});

const single = (header: string | string[] | undefined): string | undefined =>
  typeof header === 'string' ? header : undefined;
