import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeOperatorKubeconfig } from '../../tools/operator.ts';
import { startProgram } from '../../tools/program.ts';
import type { Contestant } from './contestant.ts';
import { mtlsCertificates } from './operator-contestant.ts';
import type { Specimens } from './specimen.ts';

const program = fileURLToPath(new URL('ceiling-program.ts', import.meta.url));

/** The input of the ceiling program. */
export interface CeilingInput {
  readonly kubeconfig: string;
  readonly job: string;
  readonly specimens: Specimens;
}

/**
 * The ceiling: the highest rate that the API server accepts. A program sends the writes of the operator, prepared in advance,
 * through the same client and with the same concurrency. It watches nothing, caches nothing and decides nothing.
 */
export const ceilingContestant = (specimens: Specimens): Contestant => ({
  name: 'ceiling',
  ...mtlsCertificates,
  async prepare() {
    // The writes need only the CRDs.
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
      if (code !== 0 && signal !== 'SIGTERM')
        console.error(`the ceiling program failed; the end of its output:\n${tail()}`);
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
