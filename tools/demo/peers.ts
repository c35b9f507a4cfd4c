import { fileURLToPath } from 'node:url';

import { pollUntil } from '../controlplane/poll.ts';
import { type Program, startProgram } from '../program.ts';
import type { Holder } from './identity.ts';

/** One call of the client, as the client saw it. */
export type Call =
  | { readonly accepted: Accepted; readonly refused?: undefined }
  | { readonly refused: Refused; readonly accepted?: undefined };

/** An answered call: whom each side takes the other for. */
export interface Accepted {
  readonly protocol: string;
  readonly server: Holder;
  readonly client: Holder;
}

export interface Refused {
  readonly message: string;
  readonly code?: string;
}

export interface Server {
  readonly program: Program;
  readonly port: number;
}

export interface CallOptions {
  readonly server: Server;
  readonly serverName: string;
  /** Folder of the mounted Secret whose ca.crt is trusted. */
  readonly trust: string;
  /** Folder of the mounted Secret that is shown; none by default. */
  readonly identity?: string;
}

const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Starts server.ts on a free port with what is mounted in `folder`. */
export async function startServer(folder: string): Promise<Server> {
  const program = startProgram(script('server.ts'), [folder]);
  await pollUntil(() => program.hasEnded || program.lines.length > 0, 30_000);
  const port = program.lines[0]?.['port'];
  if (typeof port === 'number') return { program, port };
  await program.kill();
  throw new Error(`the server does not serve:\n${program.tail()}`);
}

/** Runs client.ts for one call. */
export async function call(options: CallOptions): Promise<Call> {
  const program = startProgram(script('client.ts'), callArguments(options));
  await program.exited;
  const [outcome] = callsOf(program);
  if (outcome === undefined) throw new Error(`the client said nothing:\n${program.tail()}`);
  return outcome;
}

/** Runs client.ts for a call every so many milliseconds. */
export const keepCalling = (options: CallOptions, everyMs: number): Program =>
  startProgram(script('client.ts'), [...callArguments(options), '--every', String(everyMs)]);

/** The calls that a client has made so far. */
export const callsOf = ({ lines }: Program): readonly Call[] =>
  lines.filter((line) => 'accepted' in line || 'refused' in line) as readonly object[] as readonly Call[];

/** The clients that the server has turned away, as the server saw it. */
export const refusalsOf = ({ program }: Server): readonly Refused[] =>
  program.lines.flatMap((line) => ('refused' in line ? [line['refused'] as Refused] : []));

function callArguments({ server, serverName, trust, identity }: CallOptions): string[] {
  const shown = identity === undefined ? [] : ['--identity', identity];
  return ['--port', String(server.port), '--server-name', serverName, '--trust', trust, ...shown];
}

/** The words in an error of OpenSSL (`…:reason:file:line:SSL alert number 116`); other messages as they are. */
export function reasonOf({ message }: Refused = { message: 'nothing' }): string {
  const [, reason = message] = /:SSL routines:[^:]*:([^:]+):/.exec(message) ?? [];
  const [, alert] = /SSL alert number (\d+)/.exec(message) ?? [];
  return alert === undefined ? reason.trim() : `${reason} (alert ${alert})`;
}
