import { request as httpRequest } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { text } from 'node:stream/consumers';

export interface Reply {
  readonly status: number;
  readonly body: string;
}

/** Sends one HTTP request on a new connection, over TLS unless `socketPath` is set. Throws without a reply within 10 s. */
export function request(options: RequestOptions, body?: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const send = options.socketPath === undefined ? httpsRequest : httpRequest;
    const outgoing = send({ agent: false, timeout: 10_000, ...options }, (incoming) => {
      text(incoming).then((body) => resolve({ status: incoming.statusCode ?? 0, body }), reject);
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('no reply within 10 s')));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
