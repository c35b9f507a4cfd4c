import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { output } from '../../tools/controlplane/command.ts';
import { compiled } from '../support/peers/compiled.ts';
import { proxyCases } from '../support/proxy-cases.ts';

test("Go, and therefore kubectl, uses the expected proxy in every case of the operator's proxy tests", async () => {
  const cwd = join(import.meta.dirname, '../support/proxy-judge');
  const sources = ['main.go', 'go.mod'].map((file) => join(cwd, file));
  const folder = await compiled('proxy-judge', sources, (outputFolder) => ({
    command: ['go', 'build', '-o', `${outputFolder}judge`, '.'],
    cwd,
  }));
  const input = proxyCases.map(({ url, env }) => `${JSON.stringify({ url, env })}\n`).join('');
  const { stdout, stderr, code } = await output(join(folder, 'judge'), [], { input });
  assert.equal(code, 0, stderr);
  const proxies = stdout.trimEnd().split('\n');
  assert.deepEqual(
    proxyCases.map(({ url, env }, i) => ({ url, env, proxy: proxies[i] })),
    proxyCases,
  );
});
