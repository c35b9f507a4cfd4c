import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { parse } from 'yaml';

import { output } from '../../tools/controlplane/command.ts';
import { goTool } from '../../tools/go-tools/go-tools.ts';
import { ROOT } from '../../tools/release/release.ts';
import { STEPS } from '../../tools/release/steps.ts';
import { scratchFolder } from '../support/scratch.ts';

// test/e2e/image.test.ts builds the image.
/** The programs that no test may run. */
const foreign = ['docker', 'cosign', 'oras', 'gh'];

const steps = STEPS.filter(({ name }) => name !== 'image');

let folder = '';
const printed = new Map<string, string>();

before(async () => {
  folder = await scratchFolder('release');
  const programs = await scratchFolder('programs');
  for (const name of foreign) writeFileSync(join(programs, name), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  const env = { ...process.env, RELEASE_FOLDER: folder, PATH: `${programs}:${process.env['PATH'] ?? ''}` };
  for (const { name } of steps) {
    const args = [join(ROOT, 'tools/release.ts'), '--dry-run', name];
    const { code, stdout, stderr } = await output(process.execPath, args, { cwd: ROOT, env });
    assert.equal(code, 0, `${name}: ${stderr}`);
    printed.set(name, stdout);
  }
});

test('a dry run prints the programs that ask, change or sign for another machine, and runs none of them', () => {
  const programs = [...printed.values()].join('').matchAll(/^ {2}would run: (\S+ \S+)/gm);
  assert.deepEqual(
    [...programs].map(([, program]) => program),
    [
      'docker buildx',
      'docker buildx',
      'cosign verify',
      'docker run',
      'helm push',
      'cosign sign',
      'cosign attest',
      'cosign sign',
      'cosign sign-blob',
      'oras push',
      'gh release',
    ],
  );
});

test('a dry run packages the chart with the repository of the released image', async () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const helm = await goTool('helm');
  const { code, stdout, stderr } = await output(helm, ['template', join(folder, `mtls-operator-${version}.tgz`)]);
  assert.equal(code, 0, stderr);
  assert.match(
    stdout,
    new RegExp(`image: "?registry\\.example\\.com/mtls-operator:${version.replaceAll('.', '\\.')}"?$`, 'm'),
  );
  const shown = await output(helm, ['show', 'chart', join(folder, `mtls-operator-${version}.tgz`)]);
  const { annotations } = parse(shown.stdout) as { annotations: Record<string, string> };
  assert.ok((parse(annotations['artifacthub.io/changes'] ?? '') as unknown[]).length > 0);
});

test('a dry run writes checksums of the files that it would publish', () => {
  const lines = readFileSync(join(folder, 'SHA256SUMS'), 'utf8').trim().split('\n');
  assert.ok(lines.length > 0);
  for (const line of lines) {
    const [sum, name = ''] = line.split('  ');
    assert.equal(
      createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex'),
      sum,
      name,
    );
    assert.match(printed.get('publish') ?? '', new RegExp(`/${name.replaceAll('.', '\\.')}( |$)`, 'm'));
  }
});
