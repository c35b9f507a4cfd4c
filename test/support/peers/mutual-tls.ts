import assert from 'node:assert/strict';

import type { ClientPeer, ConnectRequest } from './peer.ts';

/** The parties of a connection: folders of mounted Secrets, identities as returned by `identityOf`. */
export interface Parties {
  readonly serverName: string;
  readonly server: { readonly folder: string; readonly identity: string };
  readonly client: { readonly folder: string; readonly identity: string };
  /** A client with a certificate issued by another root. */
  readonly stranger: { readonly folder: string };
}

/**
 * Asserts that `client` and the server see each other's identity. The server listens on `port` and uses the files in
 * `parties.server.folder`. Also asserts the refusals: the server refuses a client without a certificate, from another root,
 * or with a server certificate; the client refuses a server with another name or from another root.
 */
export async function assertMutualTls(client: ClientPeer, port: number, parties: Parties): Promise<void> {
  const { serverName, server, stranger } = parties;
  const { folder } = parties.client;
  const right: ConnectRequest = { port, serverName, caFolder: folder, folder };
  const accepted = { ok: true, peerIdentity: server.identity, serverSawClient: parties.client.identity };
  const wrong: Record<string, ConnectRequest> = {
    'a client without a certificate': { port, serverName, caFolder: folder },
    'a client from another root': { ...right, folder: stranger.folder },
    'a client that presents a server certificate': { ...right, folder: server.folder },
    'a server with another name': { ...right, serverName: `not-${serverName}` },
    'a server from another root': { ...right, caFolder: stranger.folder },
  };

  assert.partialDeepStrictEqual(await client.connect(right), accepted);
  for (const [party, request] of Object.entries(wrong)) {
    assert.partialDeepStrictEqual(await client.connect(request), { ok: false }, `${party} was accepted`);
  }
  assert.partialDeepStrictEqual(
    await client.connect(right),
    accepted,
    'the server no longer accepts the client after the refusals',
  );
}
