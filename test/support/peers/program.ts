import { join } from 'node:path';

import { missing } from '../missing.ts';
import { compiled } from './compiled.ts';
import { type ClientPeer, readOutcome, type ServerPeer } from './peer.ts';
import { type Command, run, startProgram } from './process.ts';

const here = import.meta.dirname;

/** A program of this project that is both server and client, in one language. All have the same arguments. */
export interface PeerProgram extends ServerPeer, ClientPeer {
  /** The command, which compiles the program first if needed. Those of Go, Node.js and Python can also run many clients, see round.ts. */
  readonly command: () => Command | Promise<Command>;
}

function program(name: string, missing: () => string | null, command: PeerProgram['command']): PeerProgram {
  return {
    name,
    missing,
    command,
    followsFolder: true,
    async start(folder, { port = 0, crlFolder } = {}) {
      const server = await startProgram(
        [...(await command()), ...checking(crlFolder), 'server', folder, String(port)],
        /^listening on 127\.0\.0\.1:(\d+)$/m,
      );
      return { port: Number(server.announcement[1]), log: server.log, stop: server.stop };
    },
    async connect({ port, serverName, caFolder, folder, crlFolder }) {
      const secret = folder === undefined ? [] : [folder];
      const args = [...checking(crlFolder), 'client', String(port), serverName, caFolder, ...secret];
      const finished = await run([...(await command()), ...args]);
      if (finished.code > 1) throw new Error(`${name} ended with code ${finished.code}: ${finished.stderr}`);
      return finished.code === 0 ? readOutcome(finished) : { ok: false, error: finished.stderr.trim() };
    },
  };
}

const checking = (crlFolder: string | undefined): string[] => (crlFolder === undefined ? [] : ['-crl', crlFolder]);

/** Builds the sources in a folder of this project. Returns the output folder. */
function built(name: string, sources: readonly string[], command: (output: string) => Command): Promise<string> {
  const cwd = join(here, name);
  return compiled(
    name,
    sources.map((source) => join(cwd, source)),
    (output) => ({ command: command(output), cwd }),
  );
}

/** Go's crypto/tls. */
export const goPeer = program('Go', missing.go, async () => {
  const sources = ['go.mod', 'main.go', 'secret.go', 'clients.go', 'crl.go'];
  const folder = await built('go', sources, (output) => ['go', 'build', '-o', output, '.']);
  return [join(folder, 'peer')];
});

async function java(...properties: readonly string[]): Promise<Command> {
  const source = join(here, 'java', 'Peer.java');
  const folder = await compiled('java', [source], (output) => ({
    command: ['javac', '--release', '17', '-d', output, source],
  }));
  return ['java', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', ...properties, '-cp', folder, 'Peer'];
}

/** Java's JSSE. */
export const javaPeer = program('Java', missing.jdk, () => java());

/** Java with keystore.p12 and truststore.p12, which have this password. */
export const javaPeerWithStores = (password: string): PeerProgram =>
  program('Java', missing.jdk, () => java(`-DstorePassword=${password}`));

/** Python's ssl. */
export const pythonPeer = program('Python', missing.python, () => ['python3', join(here, 'python', 'peer.py')]);

/** rustls, with ring. */
export const rustPeer = program('rustls', missing.rust, async () => {
  const sources = ['Cargo.toml', 'Cargo.lock', 'src/main.rs', 'src/pem.rs', 'src/secret.rs'];
  const build = ['cargo', 'build', '--release', '--locked', '--quiet', '--target-dir'] as const;
  const folder = await built('rust', sources, (output) => [...build, output]);
  return [join(folder, 'release', 'peer')];
});

/** Node's tls, in a separate process. */
export const nodePeer = program(
  'Node.js',
  () => null,
  () => [process.execPath, join(here, 'node', 'peer.ts')],
);
