import { spawn } from 'node:child_process';

/** The result of a command. `code` is null when a signal ended it. */
export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number | null;
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** The standard input of the command: text, or the descriptor of an open file; empty by default. */
  readonly input?: string | number;
}

/** Runs a command to its end. Throws only if the command cannot be started, not if it fails. */
export function output(command: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const { cwd, env, input = '' } = options;
    const child = spawn(command, args, {
      cwd,
      env,
      stdio: [typeof input === 'number' ? input : 'pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    // The command may exit before it has read all input.
    child.stdin?.on('error', () => {});
    if (typeof input === 'string') child.stdin?.end(input);
    child.on('error', reject);
    child.on('close', (code) => resolve({ stdout, stderr, code }));
  });
}
