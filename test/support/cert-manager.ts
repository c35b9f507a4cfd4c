import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname } from 'node:path';

import { guardProcess } from '../../tools/controlplane/guard.ts';
import { goTool } from '../../tools/go-tools/go-tools.ts';

/** The controllers of cert-manager, as a process. */
export interface CertManager {
  stop(): Promise<void>;
}

/** Starts cert-manager, which makes each Certificate the owner of its Secret. */
export async function startCertManager(kubeconfig: string): Promise<CertManager> {
  const program = await goTool('cert-manager');
  const child = spawn(program, ['--kubeconfig', kubeconfig, '--enable-certificate-owner-ref'], {
    cwd: dirname(program),
    stdio: 'ignore',
  });
  guardProcess(child);
  return {
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const closed = once(child, 'close');
      child.kill('SIGTERM');
      await closed;
    },
  };
}
