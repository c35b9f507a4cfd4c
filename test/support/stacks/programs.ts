import { goPeer, nodePeer, pythonPeer, rustPeer } from '../peers/index.ts';
import { javaPeerWithStores, type PeerProgram } from '../peers/program.ts';
import type { Stack } from './stack.ts';

/** A program that is both server and client, in one language. It reads the folder again for each connection. */
const programStack = (peer: PeerProgram, page: string, certificate = 'payments'): Stack => ({
  name: peer.name,
  page,
  certificate,
  checksServerName: true,
  missing: () => peer.missing(),
  async start(site) {
    const { folder } = await site.mount(`${certificate}-server-tls`);
    const { port, stop } = await peer.start(folder);
    return {
      ports: [port],
      async connect({ looksForAnother = false, ...folders }) {
        const serverName = `${looksForAnother ? 'another' : certificate}.shop.svc`;
        const outcome = await peer.connect({ port, serverName, ...folders });
        return outcome.ok ? { ok: true, sawSerial: outcome.serverSawSerial } : outcome;
      },
      stop,
    };
  },
});

/** Go, Python, Rust and Node.js, and Java with keystores, whose password is that of the page. */
export const programStacks: readonly Stack[] = [
  programStack(goPeer, 'go'),
  programStack(pythonPeer, 'python'),
  programStack(rustPeer, 'rust'),
  programStack(nodePeer, 'nodejs'),
  programStack(javaPeerWithStores('changeit'), 'java', 'ledger'),
];
