import { curlClient } from './curl.ts';
import { nginxServer } from './nginx.ts';
import { opensslClient, opensslServer } from './openssl.ts';
import type { ClientPeer, ServerPeer } from './peer.ts';
import { goPeer, javaPeer, nodePeer, pythonPeer, rustPeer } from './program.ts';

export { type MountOptions, mountSecret, type SecretFiles, secretFiles } from '../../../tools/secret-volume.ts';
export { assertMutualTls, type Parties } from './mutual-tls.ts';
export type { ClientPeer, ConnectRequest, Outcome, RunningServer, ServerPeer } from './peer.ts';
export { identityOf, serialOf } from './peer.ts';
export { curlClient, goPeer, javaPeer, nginxServer, nodePeer, opensslClient, opensslServer, pythonPeer, rustPeer };

/** All servers. */
export const servers: readonly ServerPeer[] = [
  opensslServer,
  nginxServer,
  goPeer,
  javaPeer,
  pythonPeer,
  rustPeer,
  nodePeer,
];

/** All clients. */
export const clients: readonly ClientPeer[] = [
  opensslClient,
  curlClient,
  goPeer,
  javaPeer,
  pythonPeer,
  rustPeer,
  nodePeer,
];

/**
 * The reason to skip a test that needs these programs: false if all are installed, otherwise a line that says what to
 * install. With CI=true nothing is skipped, and a missing program fails the test.
 */
export function unlessInstalled(...peers: readonly Pick<ClientPeer, 'missing'>[]): string | false {
  if (process.env['CI'] === 'true') return false;
  return peers.map((peer) => peer.missing()).find((sentence) => sentence !== null) ?? false;
}
