// Stands in for kube-proxy and the DNS of the cluster in the node's network. Usage:
//
//   services.ts KUBECONFIG DNS_ADDRESS DOMAIN
//
// All addresses of Services have to lead to this machine: `ip route add local 10.96.0.0/16 dev lo`.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { get, type RequestOptions } from 'node:https';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

import { replyTo } from './dns.ts';
import { type Address, type EndpointSlice, type Service, ServiceTable } from './service-table.ts';
import { joinStreams } from './streams.ts';

const [kubeconfig = '', dnsAddress = '', domain = ''] = process.argv.slice(2);

/** How long after a failure the API server is asked again. */
const RETRY_MS = 200;

const table = new ServiceTable(domain);
const servers = new Map<string, Server>();

const dns = createSocket('udp4');
dns.on('message', (query, { address, port }) => {
  const reply = replyTo(query, (name) => table.addressesOf(name));
  if (reply !== undefined) dns.send(reply, port, address);
});
dns.bind(53, dnsAddress);

void follow('/api/v1/services', (services) => {
  table.setServices(services as readonly Service[]);
  listenToAll();
});
void follow('/apis/discovery.k8s.io/v1/endpointslices', (slices) =>
  table.setSlices(slices as readonly EndpointSlice[]),
);

/** Lists a collection now and whenever an object of it changes. */
async function follow(path: string, onList: (objects: readonly unknown[]) => void): Promise<never> {
  for (;;) {
    try {
      const { metadata, items } = JSON.parse(await textOf(path)) as {
        metadata: { resourceVersion: string };
        items: readonly unknown[];
      };
      onList(items);
      const watch = await request(`${path}?watch=true&timeoutSeconds=300&resourceVersion=${metadata.resourceVersion}`);
      // The first event or the end of the watch.
      await Promise.race([once(watch, 'data'), once(watch, 'close')]);
      watch.destroy();
    } catch {
      await delay(RETRY_MS);
    }
  }
}

async function textOf(path: string): Promise<string> {
  let text = '';
  for await (const chunk of await request(path)) text += chunk;
  return text;
}

async function request(path: string): Promise<IncomingMessage> {
  const { clusters, users } = JSON.parse(readFileSync(kubeconfig, 'utf8')) as Kubeconfig;
  const [cluster, user] = [clusters[0]?.cluster, users[0]?.user];
  if (cluster === undefined || user === undefined) throw new Error(`${kubeconfig} has no cluster and user`);
  const options: RequestOptions = {
    ca: Buffer.from(cluster['certificate-authority-data'], 'base64'),
    headers: { authorization: `Bearer ${user.token}` },
  };
  const sent = get(`${cluster.server}${path}`, options);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  response.setEncoding('utf8');
  if (response.statusCode === 200) return response;
  response.destroy();
  throw new Error(`GET ${path}: ${response.statusCode}`);
}

/** What `writeKubeconfig` writes. */
interface Kubeconfig {
  readonly clusters: readonly {
    readonly cluster: { readonly server: string; readonly 'certificate-authority-data': string };
  }[];
  readonly users: readonly { readonly user: { readonly token: string } }[];
}

/** Listens to the addresses of all Services, and to no others. */
function listenToAll(): void {
  const wanted = new Map(table.frontends().map((address) => [`${address.host}:${address.port}`, address]));
  for (const [key, server] of servers) {
    if (wanted.has(key)) continue;
    server.close();
    servers.delete(key);
  }
  for (const [key, address] of wanted) {
    if (servers.has(key)) continue;
    const server = createServer({ allowHalfOpen: true }, (client) => passOn(client, address));
    // The relay already listens to the address of the Service `kubernetes`.
    server.on('error', () => servers.delete(key));
    servers.set(key, server.listen(address));
  }
}

/** Connects a client with a ready pod, chosen by chance. */
function passOn(client: Socket, address: Address): void {
  const ready = table.backends(address);
  const first = Math.floor(Math.random() * ready.length);
  client.on('error', () => {});
  passOnTo(client, [...ready.slice(first), ...ready.slice(0, first)]);
}

/**
 * Connects a client with the first of these pods that accepts. A pod that has ended may be listed for another moment. The client
 * is refused if no pod accepts.
 */
function passOnTo(client: Socket, [target, ...others]: readonly Address[]): void {
  if (target === undefined) {
    client.resetAndDestroy();
    return;
  }
  const pod = connect({ ...target, allowHalfOpen: true });
  const next = (): void => passOnTo(client, others);
  pod.once('error', next);
  pod.once('connect', () => {
    pod.off('error', next);
    pod.once('error', () => client.resetAndDestroy());
    joinStreams(client, pod);
  });
}
