import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeOperatorKubeconfig } from '../../tools/operator.ts';
import { startProgram } from '../../tools/program.ts';
import type { Contestant } from './contestant.ts';
import { mtlsCertificates } from './operator-contestant.ts';
import type { Specimens } from './specimen.ts';

const program = fileURLToPath(new URL('ceiling-program.ts', import.meta.url));

/** What the ceiling program is told. */
export interface CeilingInput {
  readonly kubeconfig: string;
  readonly job: string;
  readonly specimens: Specimens;
}

/**
 * What the API server can take: the operator's very writes, made up beforehand, sent through the same client with the same
 * number at a time by a program that watches nothing, keeps nothing and decides nothing.
 */
export const ceilingContestant = (specimens: Specimens): Contestant => ({
  name: 'ceiling',
  ...mtlsCertificates,
  async prepare() {
    // What it writes needs the CRDs only.
  },
  async start({ cluster }, job) {
    const kubeconfig = join(cluster.dir, 'ceiling.kubeconfig');
    await writeOperatorKubeconfig(kubeconfig, (args) => cluster.kubectl(args));
    const input: CeilingInput = { kubeconfig, job, specimens };
    const file = join(cluster.dir, 'ceiling.json');
    writeFileSync(file, JSON.stringify(input), { mode: 0o600 });
    const { pid, stop, exited, tail, lines } = startProgram(program, [file]);
    const complain = async () => {
      const { code, signal } = await exited;
      if (code !== 0 && signal !== 'SIGTERM') console.error(`the ceiling program failed:\n${tail()}`);
    };
    void complain();
    return {
      pid,
      beganAt: () => Number(lines.find(({ message }) => message === 'begins')?.['at']),
      async stop() {
        await stop();
      },
    };
  },
});
