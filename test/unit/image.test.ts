import assert from 'node:assert/strict';
import { test } from 'node:test';

import { output } from '../../tools/controlplane/command.ts';
import { imageEnvironment } from '../support/image.ts';

/**
 * Reads 64 KiB a thousand times, like a list of objects, and keeps a key each time. Then it drops the data, and prints how much
 * of the additional memory the process still has, as a fraction of the peak.
 */
const program = `
import { generateKeyPairSync } from 'node:crypto';
const before = process.memoryUsage.rss();
const keys = [];
let read = [];
for (let i = 0; i < 1000; i += 1) {
  read.push(Buffer.alloc(65_536, 1));
  keys.push(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey);
}
const peak = process.memoryUsage.rss() - before;
read = undefined;
const left = () => (process.memoryUsage.rss() - before) / peak;
const deadline = Date.now() + 20_000;
while (left() > 0.5 && Date.now() < deadline) {
  globalThis.gc();
  await new Promise(setImmediate);
}
console.log(left(), keys.length);
`;

// Broken if it fails: an operator that has read many Secrets at its start never returns that memory.
test('in the environment of the image, the process returns the memory of dropped data', async () => {
  const flags = ['--expose-gc', '--input-type=module', '--eval', program];
  const { stdout, stderr } = await output(process.execPath, flags, { env: { ...process.env, ...imageEnvironment() } });
  const [left = Number.NaN] = stdout.split(' ').map(Number);
  assert.ok(left <= 0.5, `the process still has ${left} of the memory ${stderr}`);
});
