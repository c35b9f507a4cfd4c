/**
 * Runs in a pod: connects every client to all servers in turn until it is stopped, with a new process of a program for each
 * connection. Prints a line for each connection, as the programs that run many clients themselves.
 *
 *     spawning-clients.ts PROGRAM JSON
 */
import { clients } from '../../peers/index.ts';
import { connectInTurn, type Round } from '../../peers/round.ts';

const [name, argument = ''] = process.argv.slice(2);
const program = clients.find((candidate) => candidate.name === name);
if (program === undefined) throw new Error(`there is no client program ${name}`);
const round = JSON.parse(argument) as Round;
await Promise.all(
  round.clients.map(async (client, first) =>
    connectInTurn(client.name, {
      ...round,
      first,
      connect: ({ port, serverName }) =>
        program.connect({ port, serverName, caFolder: client.folder, folder: client.folder }),
      record: (handshake) => console.log(JSON.stringify(handshake)),
    }),
  ),
);
