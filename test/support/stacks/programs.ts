import { goPeer, nodePeer, pythonPeer, rustPeer } from '../peers/index.ts';
import { javaPeerWithStores, type PeerProgram } from '../peers/program.ts';
import type { Stack } from './stack.ts';

/** A program that is both server and client, in one language. It reads the folder again for each connection. */
const programStack = (peer: PeerProgram, certificate = 'payments'): Stack => ({
  name: peer.name,
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
  ...[goPeer, pythonPeer, rustPeer, nodePeer].map((peer) => programStack(peer)),
  programStack(javaPeerWithStores('changeit'), 'ledger'),
];
