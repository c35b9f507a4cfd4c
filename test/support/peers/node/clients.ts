import { readOutcome } from '../peer.ts';
import { connectInTurn, type Round } from '../round.ts';
import { exchange } from './exchange.ts';
import { readSecret } from './secret.ts';

/** Connects every client to all servers in turn until the program is stopped. Prints a line for each connection. */
export async function runClients(argument: string): Promise<void> {
  const round = JSON.parse(argument) as Round;
  const connecting = round.clients.map(async (client, number) =>
    connectInTurn(client.name, {
      ...round,
      first: number,
      connect: async ({ port, serverName }) => {
        const stdout = await exchange(port, serverName, readSecret(client.folder));
        return readOutcome({ code: 0, stdout, stderr: '' });
      },
      record: (handshake) => console.log(JSON.stringify(handshake)),
    }),
  );
  await Promise.all(connecting);
}
