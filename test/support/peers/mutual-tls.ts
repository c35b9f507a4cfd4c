import assert from 'node:assert/strict';

import type { ClientPeer, ConnectRequest } from './peer.ts';

/** Who takes part: folders as mounted Secrets, identities as `identityOf` writes them. */
export interface Parties {
  readonly serverName: string;
  readonly server: { readonly folder: string; readonly identity: string };
  readonly client: { readonly folder: string; readonly identity: string };
  /** A client of another root. */
  readonly stranger: { readonly folder: string };
}

/**
 * Asserts that `client` and the server on `port`, which serves from the server's folder, see each other's identity, and
 * that each refuses what it has to: the server a client without a certificate, of another root or with a server's
 * certificate, the client a server with another name or of another root.
 */
export async function assertMutualTls(client: ClientPeer, port: number, parties: Parties): Promise<void> {
  const { serverName, server, stranger } = parties;
  const { folder } = parties.client;
  const right: ConnectRequest = { port, serverName, caFolder: folder, folder };
  const accepted = { ok: true, peerIdentity: server.identity, serverSawClient: parties.client.identity };
  const wrong: Record<string, ConnectRequest> = {
    'a client without a certificate': { port, serverName, caFolder: folder },
    'a client of another root': { ...right, folder: stranger.folder },
    'a client that shows a server certificate': { ...right, folder: server.folder },
    'a server with another name': { ...right, serverName: `not-${serverName}` },
    'a server of another root': { ...right, caFolder: stranger.folder },
  };

  assert.partialDeepStrictEqual(await client.connect(right), accepted);
  for (const [who, request] of Object.entries(wrong)) {
    assert.partialDeepStrictEqual(await client.connect(request), { ok: false }, `${who} was accepted`);
  }
  assert.partialDeepStrictEqual(await client.connect(right), accepted, 'the server went with a refusal');
}
