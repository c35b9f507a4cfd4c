import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { parse } from 'yaml';

import { output } from '../../tools/controlplane/command.ts';
import { goTool } from '../../tools/go-tools/go-tools.ts';
import { basesOf, hasDigest, withDigest } from '../../tools/release/bases.ts';
import { releasedChart, releasedValues } from '../../tools/release/chart.ts';
import { changelogSections, changesIn, unwrapped } from '../../tools/release/notes.ts';
import { npmSbom } from '../../tools/release/npm.ts';
import { ROOT } from '../../tools/release/release.ts';
import { type Component, completeSbom, type Sbom } from '../../tools/release/sbom.ts';
import { STEPS } from '../../tools/release/steps.ts';
import { type VersionedFiles, versionProblems } from '../../tools/release/versions.ts';

const text = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

const changelog = `# Changelog

Words.

## [Unreleased]

## [1.2.0] - 2026-12-01

One line
and the next.

### Added

Certificates:

- A **bold** entry with \`code\` and a [link](docs/x.md)
  on two lines.

- Another one.

### Fixed

- A fix.

## [1.1.0] - 2026-11-01

### Added

- Earlier.

[1.2.0]: https://example.com/compare/1.1.0...1.2.0
`;

const files: VersionedFiles = {
  packageJson: '{"version":"1.2.0"}',
  packageLock: '{"version":"1.2.0","packages":{"":{"version":"1.2.0"}}}',
  chart: 'version: 1.2.0\nappVersion: 1.2.0\n',
  dockerfile: 'LABEL org.opencontainers.image.version="1.2.0"',
  changelog,
};

describe('a release is refused', () => {
  const refused: ReadonlyArray<readonly [why: string, change: Partial<VersionedFiles>, message: RegExp]> = [
    [
      'with an older lock file',
      { packageLock: '{"version":"1.1.0","packages":{"":{"version":"1.2.0"}}}' },
      /^package-lock\.json is 1\.1\.0, and package\.json says 1\.2\.0$/,
    ],
    [
      'with an older version of the chart',
      { chart: 'version: 1.1.0\nappVersion: 1.2.0\n' },
      /^version of Chart\.yaml is 1\.1\.0/,
    ],
    [
      'with an older appVersion',
      { chart: 'version: 1.2.0\nappVersion: 1.1.0\n' },
      /^appVersion of Chart\.yaml is 1\.1\.0/,
    ],
    ['without the label of the image', { dockerfile: 'FROM scratch' }, /^the label org.* is missing/],
    [
      'without a section of the changelog',
      { changelog: changelog.replace('[1.2.0] -', '[1.3.0] -') },
      /^CHANGELOG\.md has no section "## \[1\.2\.0\] - YYYY-MM-DD"/,
    ],
    [
      'without the date in the changelog',
      { changelog: changelog.replace(' - 2026-12-01', '') },
      /^the heading of 1\.2\.0 in CHANGELOG\.md has no date$/,
    ],
    [
      'with changes that are still unreleased',
      { changelog: changelog.replace('[Unreleased]\n', '[Unreleased]\n\n- New.\n') },
      /^CHANGELOG\.md has entries in \[Unreleased\]/,
    ],
  ];
  for (const [why, change, message] of refused) {
    test(why, () => {
      const problems = versionProblems({ ...files, ...change }, 'v1.2.0');
      assert.equal(problems.length, 1, problems.join('\n'));
      assert.match(problems[0] ?? '', message);
    });
  }

  test('with the tag of another version', () => {
    assert.deepEqual(versionProblems(files, 'v1.3.0'), ['the tag is v1.3.0, and should be v1.2.0']);
    assert.deepEqual(versionProblems(files, 'v1.2.0'), []);
  });
});

test('a dry run accepts changes that are not released yet', () => {
  const unreleased = changelog.replace('## [1.2.0] - 2026-12-01\n', '');
  assert.deepEqual(versionProblems({ ...files, changelog: unreleased }, undefined), []);
  assert.match(
    versionProblems({ ...files, changelog: unreleased }, 'v1.2.0').join('\n'),
    /^CHANGELOG\.md has no section/,
  );
});

test('the release notes are the section of the version, with one line for each paragraph', () => {
  const [, section] = changelogSections(changelog);
  assert.deepEqual([section?.version, section?.date], ['1.2.0', '2026-12-01']);
  const notes = unwrapped(section?.text ?? '');
  assert.match(notes, /^One line and the next\.$/m);
  assert.match(notes, /^- A \*\*bold\*\* entry with `code` and a \[link\]\(docs\/x\.md\) on two lines\.$/m);
  assert.doesNotMatch(notes, /Earlier|example\.com/);
  assert.equal(unwrapped('```\na\nb\n```\nc\nd'), '```\na\nb\n```\nc d');
  assert.throws(() => changelogSections('## 1.2.0\n'), /CHANGELOG\.md has a heading that is neither/);
});

test('the chart lists the changes of its version and its image for Artifact Hub', () => {
  const changes = changesIn(changelogSections(changelog)[1] ?? assert.fail());
  assert.deepEqual(changes, [
    { kind: 'added', description: 'A bold entry with code and a link on two lines.' },
    { kind: 'added', description: 'Another one.' },
    { kind: 'fixed', description: 'A fix.' },
  ]);
  const source = 'https://example.com/sources';
  const before = text('deploy/helm/mtls-operator/Chart.yaml');
  const chart = releasedChart(before, { image: 'registry.example.com/x', version: '1.2.0', changes, source });
  const { annotations, sources } = parse(chart) as { annotations: Record<string, string>; sources: string[] };
  assert.deepEqual(parse(annotations['artifacthub.io/changes'] ?? ''), changes);
  assert.deepEqual(parse(annotations['artifacthub.io/images'] ?? ''), [
    { name: 'mtls-operator', image: 'registry.example.com/x:1.2.0', platforms: ['linux/amd64', 'linux/arm64'] },
  ]);
  assert.deepEqual(sources, [source]);
  assert.equal(annotations['artifacthub.io/license'], 'Apache-2.0');
});

test('the released chart differs from the sources in the repository of its image only', () => {
  const before = text('deploy/helm/mtls-operator/values.yaml');
  const [old, now] = [before, releasedValues(before, 'registry.example.com/x')].map(
    (values) => parse(values) as object,
  );
  assert.deepEqual(now, {
    ...old,
    image: { ...(old as { image: object }).image, repository: 'registry.example.com/x' },
  });
});

test('a base image is used by its digest', () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  assert.equal(withDigest('example.com/base:tag', digest), `example.com/base:tag@${digest}`);
  assert.throws(() => withDigest('example.com/base:tag', ''), /has no digest/);
  const { BUILD_IMAGE, BASE_IMAGE } = basesOf(text('Dockerfile'));
  for (const reference of [BUILD_IMAGE, BASE_IMAGE]) assert.match(reference, /^[a-z.]+\/[a-z0-9/-]+:[a-z0-9.-]+(@|$)/);
  assert.ok(hasDigest(`${BASE_IMAGE.split('@')[0]}@${digest}`));
});

test('versions agree in this repository', () => {
  const ours: VersionedFiles = {
    packageJson: text('package.json'),
    packageLock: text('package-lock.json'),
    chart: text('deploy/helm/mtls-operator/Chart.yaml'),
    dockerfile: text('Dockerfile'),
    changelog: text('CHANGELOG.md'),
  };
  assert.deepEqual(versionProblems(ours, undefined), []);
});

describe('the bill of materials', () => {
  const date = new Date('2026-12-01T00:00:00Z');
  const make = async (): Promise<Sbom> => completeSbom(await npmSbom(ROOT), { versions: process.versions, date });
  let sbom: Sbom;
  before(async () => {
    sbom = await make();
  });

  test('follows the rules of CycloneDX 1.5, and is the same for the same commit', async () => {
    assert.deepEqual([sbom['bomFormat'], sbom['specVersion'], sbom['version']], ['CycloneDX', '1.5', 1]);
    assert.match(sbom.serialNumber, /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(sbom.metadata.timestamp, date.toISOString());
    const all = [sbom.metadata.component, ...sbom.components];
    const nested = all.flatMap(({ components = [] }) => components as Component[]);
    for (const { type, name, version } of [...all, ...nested]) {
      assert.match(type, /^(application|library|platform)$/, name);
      assert.ok(name !== '' && version !== '');
    }
    const refs = [...all, ...nested].map((component) => component['bom-ref']);
    assert.equal(new Set(refs).size, refs.length, 'each bom-ref occurs once');
    for (const { ref, dependsOn } of sbom.dependencies) {
      for (const target of [ref, ...dependsOn]) assert.ok(refs.includes(target), `${target} is no component`);
      assert.equal(new Set(dependsOn).size, dependsOn.length);
    }
    assert.equal(JSON.stringify(await make()), JSON.stringify(sbom));
  });

  test('gives each component a licence and a package URL, and each package the hash of the lock file', () => {
    assert.equal(sbom.metadata.component.name, 'mtls-operator');
    const { packages } = JSON.parse(text('package-lock.json')) as { packages: Record<string, { integrity?: string }> };
    const integrities = new Set(Object.values(packages).map(({ integrity }) => integrity));
    for (const { name, type, licenses = [], purl = '', hashes } of sbom.components) {
      assert.ok(licenses.length > 0, `${name} has no licence`);
      assert.match(purl, /^pkg:(npm|generic)\/[^@]+@\d/);
      if (type === 'platform') continue;
      const [{ alg, content }] = hashes as [{ alg: string; content: string }];
      assert.equal(alg, 'SHA-512');
      assert.ok(integrities.has(`sha512-${Buffer.from(content, 'hex').toString('base64')}`), name);
    }
  });

  test('names Node.js and OpenSSL, so that a scanner finds their advisories, and no package of types', () => {
    const { components } = sbom;
    const node = components.find(({ type }) => type === 'platform');
    assert.equal(node?.cpe, `cpe:2.3:a:nodejs:node.js:${process.versions.node}:*:*:*:*:*:*:*`);
    const inside = node?.['components'] as Component[];
    assert.equal(inside.find(({ name }) => name === 'openssl')?.version, process.versions.openssl);
    assert.deepEqual(
      components.filter(({ name }) => /^(@types\/|undici-types$)/.test(name)),
      [],
    );
  });
});

interface Workflow {
  readonly permissions: object;
  readonly jobs: Readonly<
    Record<
      string,
      {
        readonly permissions?: object;
        readonly steps: ReadonlyArray<{ readonly run?: string; readonly uses?: string }>;
      }
    >
  >;
}

describe('the workflows', () => {
  const workflows = globSync('.github/workflows/*.yml', { cwd: ROOT });

  test('pass actionlint (60 s: the first run compiles it)', async () => {
    const { code, stdout } = await output(await goTool('actionlint'), ['-no-color', ...workflows], { cwd: ROOT });
    assert.equal(code, 0, stdout);
  });

  const workflow = parse(text('.github/workflows/release.yml')) as Workflow;
  const steps = Object.values(workflow.jobs).flatMap((job) => job.steps);

  test('release with the steps of `npm run release`, all of them and nothing else', () => {
    const scripts = steps.flatMap(({ run }) => run ?? []);
    assert.deepEqual(
      scripts,
      STEPS.map(({ name }) => `npm run release -- ${name}`),
    );
  });

  test('have no rights by default', () => {
    assert.equal(workflows.length, 2);
    for (const path of workflows) {
      assert.deepEqual((parse(text(path)) as Workflow).permissions, {}, path);
    }
  });
});

test('an unknown step and missing settings are refused', async () => {
  const release = (...args: string[]): ReturnType<typeof output> =>
    output(process.execPath, ['tools/release.ts', ...args], { cwd: ROOT, env: { PATH: process.env['PATH'] } });
  const unknown = await release('publsh');
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /^Usage: npm run release/);
  const unset = await release('publish');
  assert.equal(unset.code, 1);
  assert.match(unset.stderr, /^RELEASE_TAG is not set; npm run release -- --dry-run needs no settings$/m);
});
