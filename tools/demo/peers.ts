import { fileURLToPath } from 'node:url';

import { pollUntil } from '../controlplane/poll.ts';
import { type Program, startProgram } from '../program.ts';
import type { Holder } from './identity.ts';

/** The result of one call, as the client reports it. */
export type Call =
  | { readonly accepted: Accepted; readonly refused?: undefined }
  | { readonly refused: Refused; readonly accepted?: undefined };

/** An accepted call: the certificate that each side received. */
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
  /** Folder of the mounted Secret that the client presents; none by default. */
  readonly identity?: string;
}

const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Starts server.ts on a free port with the Secret in `folder`. */
export async function startServer(folder: string): Promise<Server> {
  const program = startProgram(script('server.ts'), [folder]);
  await pollUntil(() => program.hasEnded || program.lines.length > 0, 30_000);
  const port = program.lines[0]?.['port'];
  if (typeof port === 'number') return { program, port };
  await program.kill();
  throw new Error(`the server did not start; the end of its output:\n${program.tail()}`);
}

/** Runs client.ts once. */
export async function call(options: CallOptions): Promise<Call> {
  const program = startProgram(script('client.ts'), callArguments(options));
  await program.exited;
  const [outcome] = callsOf(program);
  if (outcome === undefined)
    throw new Error(`the client reported no result; the end of its output:\n${program.tail()}`);
  return outcome;
}

/** Runs client.ts with a call every `everyMs` milliseconds. */
export const keepCalling = (options: CallOptions, everyMs: number): Program =>
  startProgram(script('client.ts'), [...callArguments(options), '--every', String(everyMs)]);

/** The calls of a client so far. */
export const callsOf = ({ lines }: Program): readonly Call[] =>
  lines.filter((line) => 'accepted' in line || 'refused' in line) as readonly object[] as readonly Call[];

/** The clients that the server has refused, as the server reports them. */
export const refusalsOf = ({ program }: Server): readonly Refused[] =>
  program.lines.flatMap((line) => ('refused' in line ? [line['refused'] as Refused] : []));

function callArguments({ server, serverName, trust, identity }: CallOptions): string[] {
  const shown = identity === undefined ? [] : ['--identity', identity];
  return ['--port', String(server.port), '--server-name', serverName, '--trust', trust, ...shown];
}

/** The reason in an error of OpenSSL (`…:reason:file:line:SSL alert number 116`); other messages unchanged. */
export function reasonOf({ message }: Refused = { message: 'nothing' }): string {
  const [, reason = message] = /:SSL routines:[^:]*:([^:]+):/.exec(message) ?? [];
  const [, alert] = /SSL alert number (\d+)/.exec(message) ?? [];
  return alert === undefined ? reason.trim() : `${reason} (alert ${alert})`;
}
