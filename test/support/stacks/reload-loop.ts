import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
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
/** Stands in for `readlink`: each call adds a line to a file after the link was read. */
const countingReadlink = (log: string): string => `#!/bin/sh
target=$(PATH=\${PATH#*:} readlink "$@")
echo read >> ${log}
echo "$target"
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
  const [log, readLog] = [join(folder, 'reloads'), join(folder, 'reads')];
  const linesIn = (file: string): number => readFileSync(file, 'utf8').split('\n').length - 1;
  const reloads = (): number => linesIn(log);
  /** Waits until the loop has read the link three times: it has acted on what the second of them read. */
  const turns = async (): Promise<void> => {
    const before = linesIn(readLog);
    await eventually(() => assert.ok(linesIn(readLog) >= before + 3, 'the loop does not run'));
  };
  const mount = async (version: string): Promise<void> => {
    await symlink(version, join(folder, 'next'));
    await rename(join(folder, 'next'), join(folder, '..data'));
  };
  await mkdir(join(folder, 'bin'));
  for (const name of PROGRAMS) await writeFile(join(folder, 'bin', name), stub(log), { mode: 0o755 });
  await writeFile(join(folder, 'bin', 'readlink'), countingReadlink(readLog), { mode: 0o755 });
  for (const file of [log, readLog]) await writeFile(file, '');
  await mount('first');
  const quick = script.replaceAll('/tls/..data', join(folder, '..data')).replace('sleep 10;', 'sleep 0.1;');
  const PATH = `${join(folder, 'bin')}:${process.env['PATH']}`;
  const running = spawn(shell, [flag, quick], { env: { ...process.env, PATH }, detached: true, stdio: 'ignore' });
  try {
    await turns();
    assert.equal(reloads(), 0, 'reloads without a change');
    for (const [version, count] of Object.entries({ second: 1, third: 2 })) {
      await mount(version);
      await eventually(() => assert.equal(reloads(), count));
      await turns();
      assert.equal(reloads(), count, 'reloads more than once');
    }
  } finally {
    if (running.pid !== undefined) process.kill(-running.pid, 'SIGKILL');
    await rm(folder, { recursive: true });
  }
}
