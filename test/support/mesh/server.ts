import type { ServerPeer } from '../peers/index.ts';
import { startService } from './service.ts';

/** A server of the mesh that never stops accepting connections. */
export interface MeshServer {
  readonly port: number;
  /** Resolves when new connections use the current content of the folder. */
  readonly reload: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** Starts a server. A program that does not follow its folder is replaced after every change. */
export async function startServer(peer: ServerPeer, folder: string): Promise<MeshServer> {
  if (peer.followsFolder) {
    const { port, stop } = await peer.start(folder);
    return { port, stop, reload: async () => {} };
  }
  const { port, stop, replace } = await startService(() => peer.start(folder));
  return { port, stop, reload: replace };
}
