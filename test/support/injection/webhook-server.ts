import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';

import type { Secret } from '../api.ts';

/** A server of webhooks, of a conversion and of an aggregated API, which loads the certificate of a Secret again when it changes. */
export interface WebhookServer {
  readonly port: number;
  /** How many requests it has answered, by path. */
  readonly answered: ReadonlyMap<string, number>;
  /** Uses the certificate in this Secret for new connections. */
  load(secret: Secret): void;
  close(): Promise<void>;
}

interface Review {
  readonly kind: string;
  readonly apiVersion: string;
  readonly request: {
    readonly uid: string;
    readonly desiredAPIVersion?: string;
    readonly objects?: readonly object[];
  };
}

const file = ({ data }: Secret, name: string): string => Buffer.from(data?.[name] ?? '', 'base64').toString();
const certificateOf = (secret: Secret) => ({ key: file(secret, 'tls.key'), cert: file(secret, 'tls.crt') });

/** @param group the group of the aggregated API, version v1 */
export async function startWebhookServer(secret: Secret, group: string): Promise<WebhookServer> {
  const answered = new Map<string, number>();
  const server: Server = createServer(certificateOf(secret), (request, response) => void answer(request, response));
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { pathname } = new URL(request.url ?? '/', 'https://localhost');
    const body = answerTo(pathname, Buffer.concat(chunks).toString(), group);
    answered.set(pathname, (answered.get(pathname) ?? 0) + 1);
    // A new connection for each request: every call verifies the certificate.
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/json', connection: 'close' });
    response.end(JSON.stringify(body ?? { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: 404 }));
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    answered,
    load: (changed) => server.setSecureContext(certificateOf(changed)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answerTo(path: string, body: string, group: string): object | undefined {
  const groupVersion = `${group}/v1`;
  if (path === `/apis/${groupVersion}`)
    return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources: [] };
  if (path === `/apis/${groupVersion}/echo`) return { kind: 'Echo', apiVersion: groupVersion };
  if (body === '') return undefined;
  const { kind, apiVersion, request } = JSON.parse(body) as Review;
  const { uid, desiredAPIVersion, objects = [] } = request;
  if (path === '/validate' || path === '/mutate') return { kind, apiVersion, response: { uid, allowed: true } };
  if (path !== '/convert') return undefined;
  const convertedObjects = objects.map((object) => ({ ...object, apiVersion: desiredAPIVersion }));
  return { kind, apiVersion, response: { uid, convertedObjects, result: { status: 'Success' } } };
}
