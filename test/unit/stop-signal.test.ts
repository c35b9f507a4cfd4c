import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';

/** Stands for main.ts and its modules, which take a moment: it imports stop-signal.ts only at the end of standard input. */
const main = `
console.log('loading');
for await (const _ of process.stdin);
const { stopSignal } = await import('./src/stop-signal.ts');
// A handler of a signal does not keep the process alive.
const busy = setInterval(() => {}, 1000);
if (!stopSignal.aborted) await new Promise((resolve) => stopSignal.addEventListener('abort', resolve));
clearInterval(busy);
`;

for (const name of ['SIGTERM', 'SIGINT'] as const) {
  test(`a ${name} that comes while the operator's modules are loaded stops it when they are`, async () => {
    const flags = ['--import', './src/stop-signal.ts', '--input-type=module', '--eval', main];
    const child = spawn(process.execPath, flags, { cwd: new URL('../..', import.meta.url) });
    const exited = once(child, 'exit');
    await once(child.stdout, 'data');
    child.kill(name);
    child.stdin.end();
    assert.deepEqual(await exited, [0, null]);
  });
}
