import { filled } from '../page.ts';
import { run } from '../peers/process.ts';
import type { Client } from './stack.ts';

/** The output of a client's command that succeeded, or the error of one that was refused. */
export type Answer = { readonly ok: true; readonly stdout: string } | { readonly ok: false; readonly error: string };

interface CommandOptions {
  /** The part of the command with the client's certificate. It is removed for a client without one. */
  readonly own?: RegExp;
  /** Values for placeholders of the command, other than the folder. */
  readonly values?: Readonly<Record<string, string>>;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
  /** The output of a client that refuses the server or is refused. */
  readonly refusal: RegExp;
}

/**
 * Runs a client's command from the documentation as this client, in a shell. Throws if it fails with other output than a
 * refusal, so that an outage is not mistaken for a refusal.
 */
export async function asClient(client: Client, command: string, options: CommandOptions): Promise<Answer> {
  const { own = /$/, values = {}, env = {}, input, refusal } = options;
  const shown = client.folder === undefined ? command.replace(own, '') : command;
  const placed = filled(shown.replaceAll('/tls/ca.crt', `${client.caFolder}/ca.crt`), values);
  const script = placed.replaceAll(/\/tls\/(?=tls\.)/g, `${client.folder ?? '/nowhere'}/`);
  const { code, stdout, stderr } = await run(['bash', '-c', script], {
    env: { ...process.env, ...env },
    ...(input === undefined ? {} : { input }),
  });
  if (code === 0 && !refusal.test(stderr)) return { ok: true, stdout };
  if (refusal.test(stderr)) return { ok: false, error: stderr.trim() };
  throw new Error(`${command.split(' ')[0]} ended with code ${code}: ${stderr}`);
}
