import { X509Certificate } from 'node:crypto';

import { wholePage } from '../page.ts';
import { curlClient, nginxServer, type RunningServer, serialOf } from '../peers/index.ts';
import { asClient } from './client-command.ts';
import type { Client, Outcome, Stack } from './stack.ts';

const page = wholePage('docs/how-to/stacks/nginx.md');

// Status 400; handshake failed, empty reply, send or receive failed, bad certificate.
const refusal = /error: 400|curl: \((?:35|52|55|56|60)\)/;

/** nginx with curl as the client. */
export const nginxStack: Stack = {
  name: 'nginx',
  page: 'nginx',
  certificate: 'payments',
  checksServerName: true,
  missing: () => nginxServer.missing() ?? curlClient.missing(),
  async start(site) {
    let server: RunningServer | undefined;
    const mount = await site.mount('payments-server-tls', { reload: async () => server?.reload?.() });
    server = await nginxServer.start(mount.folder);
    const { port, stop } = server;
    return { ports: [port], connect: (client) => connect(client, port), stop };
  },
};

/** Requests the page, which is the client certificate that nginx verified. */
async function connect(client: Client, port: number): Promise<Outcome> {
  const answer = await asClient(client, `${page.command('curl')} --noproxy '*' --connect-to '::127.0.0.1:${port}'`, {
    values: client.looksForAnother === true ? { 'payments.shop.svc': 'another.shop.svc' } : {},
    own: / --cert \S+ --key \S+/,
    refusal,
  });
  return answer.ok ? { ok: true, sawSerial: serialOf(new X509Certificate(answer.stdout)) } : answer;
}
