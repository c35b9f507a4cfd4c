import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, test } from 'node:test';

import { goBuildFolder, moduleVersion } from '../../tools/controlplane/go-build.ts';
import { GO_TOOLS, goToolBuild } from '../../tools/go-tools/go-tools.ts';

describe('the version of a module', () => {
  const goMod =
    'module example.com/m\n\nrequire example.com/one v1.2.3\n\nrequire (\n\texample.com/two v0.4.0 // indirect\n)\n';

  test('is read from a single requirement and from a list', () => {
    assert.equal(moduleVersion(goMod, 'example.com/one'), '1.2.3');
    assert.equal(moduleVersion(goMod, 'example.com/two'), '0.4.0');
  });

  test('is an error when go.mod does not require the module', () => {
    assert.throws(() => moduleVersion(goMod, 'example.com/tw'), /go\.mod does not require example\.com\/tw/);
  });
});

describe('a tool that is built with Go', () => {
  for (const name of GO_TOOLS) {
    test(`has all its modules pinned: ${name}`, () => {
      const { sources, package: program, files } = goToolBuild(name);
      const goMod = readFileSync(join(sources, 'go.mod'), 'utf8');
      if (program === '.') assert.ok(files.includes('main.go'));
      else assert.match(goMod, new RegExp(`^tool ${program}$`, 'm'));
      assert.ok(existsSync(join(sources, 'go.sum')));
    });

    test(`is cached by its version and by everything that decides the build: ${name}`, () => {
      const build = goToolBuild(name);
      const folder = goBuildFolder(build);
      assert.match(basename(folder), new RegExp(`^${build.version.replaceAll('.', String.raw`\.`)}-[0-9a-f]{12}$`));
      assert.equal(basename(dirname(folder)), name);
      const others = [{ linkerFlags: '' }, { files: ['go.mod'] }].map((change) =>
        goBuildFolder({ ...build, ...change }),
      );
      assert.equal(new Set([folder, ...others]).size, 3);
    });
  }
  test('has the version of the control plane: agnhost', () => {
    const goMod = readFileSync(new URL('../../tools/controlplane/go/go.mod', import.meta.url), 'utf8');
    assert.equal(goToolBuild('agnhost').version, moduleVersion(goMod, 'k8s.io/kubernetes'));
  });
});
