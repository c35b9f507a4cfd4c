import { filled } from '../page.ts';
import { run } from '../peers/process.ts';
import type { Client } from './stack.ts';

/** How the command of a client ended that was let in, or what it said when it was not. */
export type Answer = { readonly ok: true; readonly stdout: string } | { readonly ok: false; readonly error: string };

interface CommandOptions {
  /** How the command names the client's own certificate, to be left out for one that has none. */
  readonly own?: RegExp;
  /** What stands for something else in it, beside the folder. */
  readonly values?: Readonly<Record<string, string>>;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
  /** What is said by a client that refuses, or is refused. */
  readonly refusal: RegExp;
}

/**
 * Runs a client's command of docs/stacks.md as this client, in a shell. Throws when it fails and does not say that one side
 * refused the other, so that an outage is never taken for a refusal.
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
