import type { TestNode } from '../../node.ts';
import { type Outcome, readOutcome } from '../../peers/peer.ts';
import type { PeerProgram } from '../../peers/program.ts';
import type { RoundServer } from '../../peers/round.ts';
import type { PodWorkload } from './workloads.ts';

export type ConnectedServer = Pick<RoundServer, 'port' | 'serverName'>;

/** Makes the client of a pod connect once, with the files that it has mounted. */
export async function connectFrom(
  { tryKubectl }: Pick<TestNode, 'tryKubectl'>,
  { namespace, name, client }: Pick<PodWorkload, 'namespace' | 'name'> & { readonly client: PeerProgram },
  { port, serverName }: ConnectedServer,
): Promise<Outcome> {
  const container = [`--namespace=${namespace}`, `deployment/${name}`, '--container=client', '--'];
  const command = [...(await client.command()), 'client', port, serverName, '/tls', '/tls'];
  const finished = await tryKubectl(['exec', ...container, ...command]);
  const { code, stdout, stderr } = finished;
  if (code === 0) return readOutcome({ code, stdout, stderr });
  // kubectl exits with the code of the program, or with 1 if it cannot start it.
  if (code !== 1 || !stderr.startsWith('refused: ')) throw new Error(`${name} cannot connect: ${stderr}`);
  return { ok: false, error: stderr.trim() };
}
