import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { backoffMs, sleep } from '../async/backoff.ts';
import type { Connection, Transport } from './connection.ts';
import type { Deadline } from './deadline.ts';
import { type HttpResponse, openResponse, type SendRequest, sendRequest } from './http-exchange.ts';
import { isKubeError, KubeError, type Status, statusError } from './kube-error.ts';
import type { Log } from './log.ts';
import { ServerClock } from './server-clock.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete';

/** A finished request, for metrics. `code` is the HTTP status, or a KubeErrorCode if there was no answer. */
export interface RequestRecord {
  readonly verb: Verb;
  /** The HTTP method. */
  readonly method: string;
  /** The host of the API server, with its port unless it is the default port. */
  readonly host: string;
  /** The plural of the kind. */
  readonly resource: string;
  readonly code: string;
  /** The time until the last byte of the answer. For a watch and for a list that is read as a stream: until the answer began. */
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

// This delay is added to Retry-After, which is the same whole number of seconds for all clients.
const throttleBackoff = { baseMs: 200, maxMs: 5_000 };
const throttledTries = 5;

// These failures come before the first byte of the request is sent, so a write certainly did not happen.
const neverSent = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const brokenConnection = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/** Sends calls, classifies their answers, and retries calls where that is safe. Throws only KubeErrors. */
export class Requests {
  readonly #connection: Connection;
  readonly #userAgent: string;
  readonly #onRequest: (record: RequestRecord) => void;
  readonly #log: Log;
  readonly #host: string;
  readonly serverClock = new ServerClock();

  constructor(connection: Connection, userAgent: string, onRequest: (record: RequestRecord) => void, log: Log) {
    this.#connection = connection;
    this.#userAgent = userAgent;
    this.#onRequest = onRequest;
    this.#log = log;
    this.#host = new URL(connection.origin).host;
  }

  /** Sends a call, with retries, and returns the parsed JSON of the answer. */
  json(call: Call, deadline: Deadline): Promise<unknown> {
    return this.#retrying(call, deadline, async () => {
      const { body } = await this.#ask(call, deadline, sendRequest);
      return parseBody(body, call);
    });
  }

  /** Calls {@link Requests.stream}, with retries. */
  open(call: Call, deadline: Deadline): Promise<Readable> {
    return this.#retrying(call, deadline, () => this.stream(call, deadline));
  }

  async #retrying<A>(call: Call, deadline: Deadline, ask: () => Promise<A>): Promise<A> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await ask();
      } catch (error) {
        const delayMs = retryDelayMs(call, error, attempt);
        if (delayMs === undefined || delayMs >= deadline.remainingMs) throw error;
        this.#log.debug('retrying a request', { verb: call.verb, resource: call.resource, error, delayMs });
        await sleep(delayMs, deadline.signal);
      }
    }
  }

  /** Sends a call once and returns the body as a stream. Pass an error while reading it to {@link Requests.classify}. */
  async stream(call: Call, deadline: Deadline): Promise<Readable> {
    const { stream } = await this.#ask(call, deadline, openResponse);
    return stream;
  }

  /** Sends a call and returns the answer to a success. After a 401 it sends the call once more with fresh credentials. */
  async #ask<A extends HttpResponse>(call: Call, deadline: Deadline, send: SendRequest<A>): Promise<A> {
    // A login program may provide the credentials, and it may hang.
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
      this.serverClock.note(answer.date);
      if (answer.status >= 300) throw refusal(call, answer);
      return answer;
    } catch (error) {
      const failure = this.classify(error, call, deadline);
      code ||= failure.code;
      throw failure;
    } finally {
      const seconds = (performance.now() - started) / 1000;
      const { verb, resource } = call;
      this.#onRequest({ verb, method: methods[verb], host: this.#host, resource, code, seconds });
    }
  }

  /** Converts the error of a request, or of reading its answer, to a KubeError. */
  classify(error: unknown, call: Call, deadline: Deadline): KubeError {
    if (error instanceof KubeError) return error;
    if (deadline.isOver) return deadline.error(isWrite(call));
    const cause = error instanceof Error ? error : new Error(String(error));
    const outcomeUnknown = isWrite(call) && !neverSent.has(systemCode(cause));
    // The message of a failed TLS handshake with a proxy is only in the cause of the error.
    const why = cause.cause instanceof Error ? `${cause.message}: ${cause.cause.message}` : cause.message;
    const message = `no answer from the API server${this.#connection.via}: ${why}`;
    return new KubeError('Network', message, { cause, outcomeUnknown });
  }

  #requestOf({ verb, path, query, accept, contentType, body }: Call, transport: Transport): Dispatcher.DispatchOptions {
    const headers = [...transport.headers, 'user-agent', this.#userAgent, 'accept', accept ?? json];
    if (body !== undefined) headers.push('content-type', contentType ?? json);
    const { origin, basePath } = this.#connection;
    return { origin, path: basePath + path + queryString(query), method: methods[verb], headers, body: body ?? null };
  }
}

function retryDelayMs(call: Call, error: unknown, attempt: number): number | undefined {
  if (!(error instanceof KubeError)) return undefined;
  const { code, status, retryAfterMs } = error;
  if (code === 'TooManyRequests' || (status === 503 && retryAfterMs !== undefined)) {
    return attempt + 1 < throttledTries ? (retryAfterMs ?? 0) + backoffMs(attempt, throttleBackoff) : undefined;
  }
  // The server has closed an idle connection. One retry is enough, because it uses a new connection.
  return isBrokenConnection(error) && !isWrite(call) && attempt === 0 ? 0 : undefined;
}

/** True if the connection broke before the end of the answer. */
export const isBrokenConnection = ({ code, cause }: KubeError): boolean =>
  code === 'Network' && cause instanceof Error && brokenConnection.has(systemCode(cause));

function refusal(call: Call, answer: HttpResponse): KubeError {
  let status: Status = {};
  try {
    const parsed: unknown = JSON.parse(answer.body);
    if (typeof parsed === 'object' && parsed !== null) status = parsed;
  } catch {
    // The answer is truncated, or comes from a proxy. The HTTP status is enough.
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
    // Omit the cause: the parser quotes the text.
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
