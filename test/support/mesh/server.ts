import type { ServerPeer } from '../peers/index.ts';
import { startService } from './service.ts';

/** A server of the mesh, which is there without interruption. */
export interface MeshServer {
  readonly port: number;
  /** Resolves when new connections get what the folder holds now. */
  readonly reload: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** Starts a server; one that does not follow its folder is replaced whenever that changes. */
export async function startServer(peer: ServerPeer, folder: string): Promise<MeshServer> {
  if (peer.followsFolder) {
    const { port, stop } = await peer.start(folder);
    return { port, stop, reload: async () => {} };
  }
  const { port, stop, replace } = await startService(() => peer.start(folder));
  return { port, stop, reload: replace };
}
