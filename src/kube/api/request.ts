import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { backoffMs, sleep } from '../async/backoff.ts';
import type { Connection, Transport } from './connection.ts';
import type { Deadline } from './deadline.ts';
import { type HttpResponse, openResponse, type SendRequest, sendRequest } from './http-exchange.ts';
import { isKubeError, KubeError, type Status, statusError } from './kube-error.ts';
import type { Log } from './log.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete';

/** One finished request, for metrics. `code` is the HTTP status, or a KubeErrorCode where there was no answer. */
export interface RequestRecord {
  readonly verb: Verb;
  /** The plural of the kind. */
  readonly resource: string;
  readonly code: string;
  /** Until the answer was read; for a watch and for a list that is read in parts, until it began. */
  readonly seconds: number;
}

export interface Call {
  readonly verb: Verb;
  readonly resource: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly accept?: string;
  readonly contentType?: string;
  readonly body?: string;
}

const json = 'application/json';

const methods = {
  get: 'GET',
  list: 'GET',
  watch: 'GET',
  create: 'POST',
  update: 'PUT',
  patch: 'PATCH',
  delete: 'DELETE',
} as const satisfies Record<Verb, Dispatcher.HttpMethod>;

// On top of what Retry-After asks for, which is a whole second for everybody at once.
const throttleBackoff = { baseMs: 200, maxMs: 5_000 };
const throttledTries = 5;

// Failures that come before a single byte of the request has left: a write did certainly not happen.
const neverSent = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const brokenConnection = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/** Sends calls, classifies what comes back, and repeats what may be repeated. Throws KubeErrors only. */
export class Requests {
  readonly #connection: Connection;
  readonly #userAgent: string;
  readonly #onRequest: (record: RequestRecord) => void;
  readonly #log: Log;

  constructor(connection: Connection, userAgent: string, onRequest: (record: RequestRecord) => void, log: Log) {
    this.#connection = connection;
    this.#userAgent = userAgent;
    this.#onRequest = onRequest;
    this.#log = log;
  }

  /** The parsed JSON of the answer, after as many repeats as the rules and the deadline allow. */
  json(call: Call, deadline: Deadline): Promise<unknown> {
    return this.#repeating(call, deadline, async () => {
      const { body } = await this.#ask(call, deadline, sendRequest);
      return parseBody(body, call);
    });
  }

  /** As {@link Requests.stream}, after as many repeats as the rules and the deadline allow. */
  open(call: Call, deadline: Deadline): Promise<Readable> {
    return this.#repeating(call, deadline, () => this.stream(call, deadline));
  }

  async #repeating<A>(call: Call, deadline: Deadline, ask: () => Promise<A>): Promise<A> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await ask();
      } catch (error) {
        const delayMs = repeatAfterMs(call, error, attempt);
        if (delayMs === undefined || delayMs >= deadline.remainingMs) throw error;
        this.#log.debug('repeating a request', { verb: call.verb, resource: call.resource, error, delayMs });
        await sleep(delayMs, deadline.signal);
      }
    }
  }

  /** The body of a success, to be read as it comes. What goes wrong while it is read is for {@link Requests.classify}. */
  async stream(call: Call, deadline: Deadline): Promise<Readable> {
    const { stream } = await this.#ask(call, deadline, openResponse);
    return stream;
  }

  /** The answer, if it is a success. A 401 is answered once with fresh credentials. */
  async #ask<A extends HttpResponse>(call: Call, deadline: Deadline, send: SendRequest<A>): Promise<A> {
    // Credentials may come from a program, which may hang.
    const transport = await deadline.within(this.#connection.transport());
    try {
      return await this.#askOnce(call, transport, deadline, send);
    } catch (error) {
      if (!isKubeError(error, 'Unauthorized')) throw error;
      const renewed = await deadline.within(this.#connection.renew(transport));
      return this.#askOnce(call, renewed, deadline, send);
    }
  }

  async #askOnce<A extends HttpResponse>(
    call: Call,
    transport: Transport,
    deadline: Deadline,
    send: SendRequest<A>,
  ): Promise<A> {
    if (deadline.isOver) throw deadline.error(false);
    const dispatcher = call.verb === 'watch' ? transport.watches : transport.requests;
    const started = performance.now();
    let code = '';
    try {
      const answer = await send(dispatcher, this.#requestOf(call, transport), deadline);
      code = String(answer.status);
      if (answer.status >= 300) throw refusal(call, answer);
      return answer;
    } catch (error) {
      const failure = this.classify(error, call, deadline);
      code ||= failure.code;
      throw failure;
    } finally {
      const seconds = (performance.now() - started) / 1000;
      this.#onRequest({ verb: call.verb, resource: call.resource, code, seconds });
    }
  }

  /** What went wrong with a request or with the reading of its answer, as a KubeError. */
  classify(error: unknown, call: Call, deadline: Deadline): KubeError {
    if (error instanceof KubeError) return error;
    if (deadline.isOver) return deadline.error(isWrite(call));
    const cause = error instanceof Error ? error : new Error(String(error));
    const outcomeUnknown = isWrite(call) && !neverSent.has(systemCode(cause));
    const message = `no answer from the API server${this.#connection.via}: ${cause.message}`;
    return new KubeError('Network', message, { cause, outcomeUnknown });
  }

  #requestOf({ verb, path, query, accept, contentType, body }: Call, transport: Transport): Dispatcher.DispatchOptions {
    const headers = [...transport.headers, 'user-agent', this.#userAgent, 'accept', accept ?? json];
    if (body !== undefined) headers.push('content-type', contentType ?? json);
    const { origin, basePath } = this.#connection;
    return { origin, path: basePath + path + queryString(query), method: methods[verb], headers, body: body ?? null };
  }
}

function repeatAfterMs(call: Call, error: unknown, attempt: number): number | undefined {
  if (!(error instanceof KubeError)) return undefined;
  const { code, status, retryAfterMs } = error;
  if (code === 'TooManyRequests' || (status === 503 && retryAfterMs !== undefined)) {
    return attempt + 1 < throttledTries ? (retryAfterMs ?? 0) + backoffMs(attempt, throttleBackoff) : undefined;
  }
  // A kept connection that the server has closed meanwhile. Once: the next one is fresh.
  return isBrokenConnection(error) && !isWrite(call) && attempt === 0 ? 0 : undefined;
}

/** True when the connection broke before the answer was there as a whole. */
export const isBrokenConnection = ({ code, cause }: KubeError): boolean =>
  code === 'Network' && cause instanceof Error && brokenConnection.has(systemCode(cause));

function refusal(call: Call, answer: HttpResponse): KubeError {
  let status: Status = {};
  try {
    const parsed: unknown = JSON.parse(answer.body);
    if (typeof parsed === 'object' && parsed !== null) status = parsed;
  } catch {
    // Not from the API server but from something in between, or cut off: the HTTP status says enough.
  }
  return statusError(answer.status, status, { write: isWrite(call), retryAfterMs: retryAfterMs(answer.retryAfter) });
}

function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  // RFC 9110, 10.2.3: seconds, or a date.
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

function parseBody(text: string, call: Call): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // No cause: the parser quotes the text.
    const outcomeUnknown = isWrite(call);
    throw new KubeError('Malformed', `the answer to ${call.verb} ${call.resource} is not JSON`, { outcomeUnknown });
  }
}

function queryString(query: Call['query']): string {
  if (query === undefined) return '';
  const entries = Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
  return entries.length === 0 ? '' : `?${new URLSearchParams(entries).toString()}`;
}

function isWrite({ verb }: Call): boolean {
  return verb !== 'get' && verb !== 'list' && verb !== 'watch';
}

function systemCode(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}
