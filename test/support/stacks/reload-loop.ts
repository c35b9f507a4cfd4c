import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';

import { eventually } from '../eventually.ts';
import { scratchFolder } from '../scratch.ts';

interface Workload {
  readonly spec?: {
    readonly template?: { readonly spec: { readonly containers: readonly [{ readonly command?: readonly string[] }] } };
  };
}

/** Programs that stand in for those of the container: a reload adds a line to a file, everything else sleeps. */
const stub = (log: string): string => `#!/bin/sh
case "$*" in
  '-s reload' | reload | *'CONFIG SET'*) echo reload >> ${log} ;;
  *) exec sleep 60 ;;
esac
`;
const PROGRAMS = ['nginx', 'pg_ctl', 'docker-entrypoint.sh', 'redis-cli', 'redis-server'];

/** Runs the command of a manifest's first workload, and checks that it reloads the program once for each change of `/tls`. */
export async function assertReloadsOncePerChange(manifest: string): Promise<void> {
  const workload = parseAllDocuments(manifest)
    .map((document) => document.toJS() as Workload)
    .find(({ spec }) => spec?.template !== undefined);
  const [shell = '', flag = '', script = ''] = workload?.spec?.template?.spec.containers[0].command ?? [];
  assert.match(script, /sleep 10;/);
  const folder = await scratchFolder('reload');
  const log = join(folder, 'reloads');
  const reloads = (): number => readFileSync(log, 'utf8').split('\n').length - 1;
  const mount = async (version: string): Promise<void> => {
    await symlink(version, join(folder, 'next'));
    await rename(join(folder, 'next'), join(folder, '..data'));
  };
  await mkdir(join(folder, 'bin'));
  for (const name of PROGRAMS) await writeFile(join(folder, 'bin', name), stub(log), { mode: 0o755 });
  await writeFile(log, '');
  await mount('first');
  const quick = script.replaceAll('/tls/..data', join(folder, '..data')).replace('sleep 10;', 'sleep 0.1;');
  const PATH = `${join(folder, 'bin')}:${process.env['PATH']}`;
  const running = spawn(shell, [flag, quick], { env: { ...process.env, PATH }, detached: true, stdio: 'ignore' });
  try {
    await delay(300);
    assert.equal(reloads(), 0, 'reloads without a change');
    for (const [version, count] of Object.entries({ second: 1, third: 2 })) {
      await mount(version);
      await eventually(() => assert.equal(reloads(), count));
      await delay(300);
      assert.equal(reloads(), count, 'reloads more than once');
    }
  } finally {
    if (running.pid !== undefined) process.kill(-running.pid, 'SIGKILL');
    await rm(folder, { recursive: true });
  }
}
