import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';

export interface ShellResult {
  readonly code: number;
  /** Standard output and standard error, as a terminal shows them. */
  readonly output: string;
}

/** One bash that runs the commands of a page one after another, so that variables and the working folder stay. */
export class Shell {
  readonly #bash;
  #text = '';
  #changed = Promise.withResolvers<void>();
  #hasExited = false;

  constructor(folder: string, env: NodeJS.ProcessEnv) {
    this.#bash = spawn('bash', ['--norc', '-c', 'exec bash --norc 2>&1'], {
      cwd: folder,
      env,
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    });
    this.#bash.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text;
      this.#wake();
    });
    this.#bash.on('exit', () => {
      this.#hasExited = true;
      this.#wake();
    });
    this.#bash.stdin.on('error', () => undefined);
  }

  /** Runs a command, whose standard input is empty. Throws when it has not ended after `timeoutMs`, or ends the shell. */
  async run(command: string, timeoutMs = 120_000): Promise<ShellResult> {
    const marker = `end-${randomUUID()}`;
    this.#text = '';
    this.#bash.stdin.write(`{\n${command}\n} </dev/null\nprintf '%s %d\\n' '${marker}' "$?"\n`);
    const timer = setTimeout(() => this.end(), timeoutMs);
    try {
      for (;;) {
        const end = this.#text.indexOf(marker);
        const code = end === -1 ? undefined : /^\S+ (\d+)\n/.exec(this.#text.slice(end))?.[1];
        if (code !== undefined) return { code: Number(code), output: this.#text.slice(0, end) };
        if (this.#hasExited) throw new Error(`the shell has ended or ran for ${timeoutMs / 1000} s:\n${this.#text}`);
        await this.#changed.promise;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Kills the shell and the programs that it started. */
  end(): void {
    if (this.#hasExited || this.#bash.pid === undefined) return;
    process.kill(-this.#bash.pid, 'SIGKILL');
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
