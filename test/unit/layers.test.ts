import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { folders, layerProblems, type Source } from '../../tools/layers.ts';

const src = fileURLToPath(new URL('../../src', import.meta.url));
const sources: readonly Source[] = globSync('**/*.ts', { cwd: src }).map((path) => ({
  path,
  text: readFileSync(join(src, path), 'utf8'),
}));

/** Every folder and file of a layer, with its first source file. */
const members = Object.entries(folders).flatMap(([folder, { layers }]) =>
  layers.flatMap((layer, rank) =>
    layer.map((member) => {
      const name = `${folder}/${member}`;
      const file = sources.find(({ path }) => path === name || path.startsWith(`${name}/`));
      return { folder, rank, name, path: file?.path ?? assert.fail(`${name} has no source file`) };
    }),
  ),
);

/** The problems of the real sources with one more import in one of the files. */
const problemsWith = (path: string, specifier: string, statement = `import { x } from '${specifier}';`): string[] =>
  layerProblems(
    sources.map((source) => (source.path === path ? { path, text: `${statement}\n${source.text}` } : source)),
  );

const up = (path: string): string => '../'.repeat(path.split('/').length - 1);

test('the sources respect the layers', () => {
  assert.deepEqual(layerProblems(sources), []);
});

describe('an import of a higher layer is found', () => {
  // No layer is above the highest one.
  for (const from of members.filter(({ name }) => name !== 'controllers/metric-sources.ts')) {
    test(`in ${from.name}`, () => {
      const higher = members.filter(({ folder, rank, name }) => {
        if (folder !== from.folder) return !(folders[from.folder]?.imports.includes(folder) ?? false);
        return rank >= from.rank && name !== from.name;
      });
      for (const { path } of higher) {
        const specifier = `${up(from.path)}${path}`;
        const found = problemsWith(from.path, specifier);
        assert.ok(
          found.some((problem) => problem.startsWith(`${from.path} imports ${path}: `)),
          `${from.path} may import ${path}`,
        );
      }
    });
  }
});

describe('an import is found', () => {
  const forms = {
    'of a type': `import type { X } from '../../controllers/operator.ts';`,
    'among other names': `import {\n  a,\n  type X,\n} from '../../controllers/operator.ts';`,
    'in an export': `export * from '../../controllers/operator.ts';`,
    'for its effects': `import '../../controllers/operator.ts';`,
    'at run time': `const x = await import('../../controllers/operator.ts');`,
  };
  for (const [title, statement] of Object.entries(forms)) {
    test(title, () => {
      const found = problemsWith('plan/policy/grant.ts', '', statement);
      assert.deepEqual(found, ['plan/policy/grant.ts imports controllers/operator.ts: plan may import api, pki']);
    });
  }
});

const rules: Record<string, { readonly path: string; readonly specifier: string; readonly says: string }> = {
  'of a file in another folder instead of its index.ts': {
    path: 'plan/policy/grant.ts',
    specifier: '../../pki/asn1/der.ts',
    says: 'plan/policy/grant.ts imports pki/asn1/der.ts: use pki/index.ts',
  },
  'of the index.ts of the same folder': {
    path: 'plan/policy/grant.ts',
    specifier: '../index.ts',
    says: 'plan/policy/grant.ts imports plan/index.ts: a folder must not import its own index.ts',
  },
  'of a program': {
    path: 'telemetry/server.ts',
    specifier: '../main.ts',
    says: 'telemetry/server.ts imports main.ts: a folder must not import a program',
  },
};

describe('an import is refused', () => {
  for (const [title, { path, specifier, says }] of Object.entries(rules)) {
    test(title, () => {
      assert.ok(problemsWith(path, specifier).includes(says), problemsWith(path, specifier).join('\n'));
    });
  }
});

test('a cycle within a layer is found', () => {
  const text = "import type { X } from './b.ts';";
  const found = layerProblems([
    { path: 'pki/x509/a.ts', text },
    { path: 'pki/x509/b.ts', text: "import { Y } from './c.ts';" },
    { path: 'pki/x509/c.ts', text: "export { Z } from './a.ts';" },
  ]);
  assert.deepEqual(found, ['import cycle: pki/x509/a.ts → pki/x509/b.ts → pki/x509/c.ts → pki/x509/a.ts']);
});

test('a file outside of the layers and two files with the same name are found', () => {
  const found = layerProblems([
    { path: 'pki/helpers.ts', text: '' },
    { path: 'pki/x509/crl.ts', text: '' },
    { path: 'pki/issue/crl.ts', text: '' },
  ]);
  assert.deepEqual(found, [
    'pki/helpers.ts has no layer: add it to tools/layers.ts',
    'several files have the same name: pki/x509/crl.ts, pki/issue/crl.ts',
  ]);
});
