import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';

import { type Dispatcher, EnvHttpProxyAgent, request } from 'undici';

/** A file cannot be had from a release server. The message is one clause without a full stop. */
export class DownloadError extends Error {
  override readonly name = 'DownloadError';
}

/** A client for release servers. It uses the proxies of the environment: https_proxy, http_proxy and no_proxy. */
export interface Client {
  /** Returns a short text. Throws a DownloadError. */
  text(url: string, signal: AbortSignal): Promise<string>;
  /** Writes a file and returns its SHA-256 in hex. Throws a DownloadError, or the error of the file system. */
  file(url: string, target: string, progress: FileProgress, signal: AbortSignal): Promise<string>;
  close(): Promise<void>;
}

export interface FileProgress {
  /** Called once, if the server names the size. */
  readonly onSize: (bytes: number) => void;
  readonly onBytes: (bytes: number) => void;
}

/** The largest official file has 100 MB. A server that never ends its answer does not fill the disk. */
const LARGEST_BYTES = 1 << 30;

const LARGEST_TEXT_BYTES = 1 << 20;

const MOST_REDIRECTS = 5;

/** A connection that is silent for `silenceMs` is given up. */
export function createClient(silenceMs: number): Client {
  const dispatcher = new EnvHttpProxyAgent({
    bodyTimeout: silenceMs,
    headersTimeout: silenceMs,
    connect: { timeout: silenceMs },
  });
  const silence = `sent nothing for ${silenceMs / 1000} s`;
  return {
    async text(url, signal) {
      return explained(url, silence, async () => {
        const chunks: Buffer[] = [];
        for await (const chunk of limited(await get(url, dispatcher, signal), LARGEST_TEXT_BYTES)) chunks.push(chunk);
        return Buffer.concat(chunks).toString('utf8');
      });
    },
    async file(url, target, { onSize, onBytes }, signal) {
      return explained(url, silence, async () => {
        const answer = await get(url, dispatcher, signal);
        const size = Number(answer.headers['content-length']);
        if (size > LARGEST_BYTES) throw tooLarge(LARGEST_BYTES);
        if (size > 0) onSize(size);
        const hash = createHash('sha256');
        const counted = async function* (): AsyncIterable<Buffer> {
          for await (const chunk of limited(answer, LARGEST_BYTES)) {
            hash.update(chunk);
            onBytes(chunk.length);
            yield chunk;
          }
        };
        await pipeline(counted, createWriteStream(target, { flags: 'wx' }), { signal });
        return hash.digest('hex');
      });
    },
    close: () => dispatcher.destroy(),
  };
}

/** Sends a GET request and follows redirects. Throws unless the last answer is 200. */
async function get(url: string, dispatcher: Dispatcher, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
  let at = parse(url);
  for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
    const answer = await request(at, { dispatcher, signal, headers: credentialsOf(at) });
    const { location } = answer.headers;
    const isRedirect = [301, 302, 303, 307, 308].includes(answer.statusCode) && typeof location === 'string';
    if (answer.statusCode === 200) return answer;
    // The connection is closed with the dispatcher. Its error is of no interest.
    answer.body.on('error', () => {}).destroy();
    if (!isRedirect) throw new DownloadError(`${named(url)} answered with status ${answer.statusCode}`);
    const next = parse(location, at);
    if (at.protocol === 'https:' && next.protocol !== 'https:') {
      throw new DownloadError(`${named(url)} redirects from https to ${next.protocol}//${next.host}`);
    }
    at = next;
  }
  throw new DownloadError(`${named(url)} redirects more than ${MOST_REDIRECTS} times`);
}

/** A user and a password in the URL of a mirror. A redirect to another host has none. */
function credentialsOf({ username, password }: URL): Record<string, string> {
  if (username === '') return {};
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

/** The text of a URL, which may be malformed, without a user and a password. They end with the last @ before the path. */
export const withoutUser = (url: string): string => url.replace(/(?<=^[^/]*(\/\/)?)[^/]*@/, '');

function parse(text: string, base?: URL): URL {
  const url = URL.parse(text, base);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new DownloadError(`"${withoutUser(text)}" is not a URL of http or https`);
  }
  return url;
}

async function* limited({ body }: Dispatcher.ResponseData, most: number): AsyncIterable<Buffer> {
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > most) throw tooLarge(most);
    yield chunk;
  }
}

const tooLarge = (most: number): Error => new DownloadError(`a file is larger than ${most / (1 << 20)} MiB`);

/** A URL for messages: without credentials, and without a query, which may hold a token. */
function named(text: string): string {
  const { origin, pathname } = parse(text);
  return `${origin}${pathname}`;
}

/** Turns the errors of the network and of a full disk into a DownloadError. */
async function explained<T>(url: string, silence: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DownloadError) throw error;
    throw new DownloadError(describe(named(url), silence, innermost(error as Error)), { cause: error });
  }
}

function describe(url: string, silence: string, { code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      // The message names the host, which is the proxy's if there is one.
      return `${url} cannot be reached, because a name cannot be resolved (${message})`;
    case 'ECONNREFUSED':
    case 'UND_ERR_CONNECT_TIMEOUT':
      return `${url} cannot be reached (${message})`;
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return `the server of ${url} ${silence}`;
    case 'UND_ERR_SOCKET':
    case 'ECONNRESET':
    case 'EPIPE':
      return `the transfer of ${url} was cut`;
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return `the disk of the cache has no room for ${url}`;
    default:
      return `${url} cannot be downloaded (${message})`;
  }
}

/** The error that has the code of the system. */
function innermost(error: Error): NodeJS.ErrnoException {
  const inner: unknown = error instanceof AggregateError ? error.errors[0] : error.cause;
  return inner instanceof Error ? innermost(inner) : error;
}
