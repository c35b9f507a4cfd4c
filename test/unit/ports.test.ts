import assert from 'node:assert/strict';
import { test } from 'node:test';

import { freePort } from '../../tools/controlplane/ports.ts';

test('a free port is given out once, although no program listens on it yet', {
  skip: process.platform === 'linux' ? false : 'only Linux has abstract sockets',
}, async () => {
  const range = { lowest: 31_990, highest: 32_000 };
  const given: number[] = [];
  await assert.rejects(async () => {
    for (;;) given.push(await freePort('127.0.0.1', range));
  }, /no free port found/);
  assert.ok(given.length > 0 && given.length <= 10, `${given.length} ports`);
  assert.equal(new Set(given).size, given.length, given.join(', '));
});
