import assert from 'node:assert/strict';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { output } from '../../tools/controlplane/command.ts';
import { paths, type Secret } from '../support/api.ts';
import { fileOf, fingerprintOf, openssl } from '../support/behaviours/judge.ts';
import { eventually } from '../support/eventually.ts';
import { installation } from '../support/installation.ts';
import { section } from '../support/page.ts';
import { scratchFolder } from '../support/scratch.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

describe('docs/operations.md, as it is written:', () => {
  let folder: string;
  const world = installation({}, async ({ cluster }) => {
    folder = await scratchFolder('operations');
    for (const name of ['deploy', 'crds']) symlinkSync(join(ROOT, name), join(folder, name));
    await cluster.kubectl(['apply', '-f', join(ROOT, 'deploy/examples/payments.yaml')]);
    const ready = ['wait', '--namespace=shop', '--for=condition=Ready', '--timeout=60s', 'mcert/payments'];
    await cluster.kubectl(ready);
    await configure('default', {});
  });

  it('a backup of the root restores it, by the stages of a rotation from the root that was made meanwhile', async () => {
    const original = await activeRoot();
    await shell(commandsOf('Back up the root'));
    await world.api.delete(paths.rootSecret('mtls-root'));
    const between = await rotatedFrom(original);
    await assertTrusted([between]);
    await shell(['kubectl replace -f mtls-root.yaml']);
    assert.equal(await rotatedFrom(between), original);
    await assertTrusted([original]);
  });

  it('a root of one’s own signs for an authority of its own', async () => {
    await shell(commandsOf('Bring your own root'));
    const { status } = await world.authorityIs('own', 'True');
    assert.equal(status?.activeRoot?.fingerprint, await fingerprintOf(readFileSync(join(folder, 'root.crt'), 'utf8')));
  });

  it('the root is rotated by annotation, with approval and skipped gates, and a root of one’s own by another one', async () => {
    const commands = commandsOf('Rotate the root');
    assert.equal(commands.length, 8, 'the commands have changed: this test has to follow');
    const [first, byAnnotation, byApproval, skips, ownRoot] = [
      await activeRoot(),
      commands.slice(0, 2),
      commands.slice(2, 4),
      commands.slice(4, 6),
      // The one before lists Secrets that no resource owns: tenants/ownership runs it.
      commands.slice(7),
    ];
    await shell(byAnnotation);
    const second = await rotatedFrom(first);
    await assertTrusted([second]);

    await configure('default', { approval: 'Manual' });
    await world.rotateRoot('default', 'again');
    await eventually(async () => assert.match((await rotation('default'))?.blockers?.join() ?? '', /^approval/));
    await assertTrusted([second, (await rotation('default'))?.newRoot]);
    // They name a phase that is to come.
    for (const skip of skips) {
      const [, phase = ''] = /\$id\/([^"]+)"/.exec(skip) ?? [];
      await shell([byApproval[0] ?? '', skip]);
      const skipped = `${phase[0]?.toUpperCase()}${phase.slice(1)}`;
      await eventually(async () => assert.ok((await rotation('default'))?.skipped?.includes(skipped), skipped));
    }
    await shell(byApproval);
    await assertTrusted([await rotatedFrom(second)]);

    await newRoot();
    await configure('own', {});
    const own = await activeRoot('own');
    await shell(ownRoot);
    const next = await fingerprintOf(readFileSync(join(folder, 'new.crt'), 'utf8'));
    assert.equal(await rotatedFrom(own, 'own'), next);
  });

  it('the operator can be removed, and the Secrets keep what they hold', async () => {
    const data = async () => (await secrets()).map(({ data }) => data);
    const kept = await data();
    await shell(['kubectl delete mcert --all -A --cascade=orphan', 'kubectl delete -k deploy']);
    await eventually(async () => {
      const { stdout } = await world.cluster.tryKubectl(['get', 'crd', '--output=name']);
      assert.doesNotMatch(stdout, /mtls-operator/);
    });
    assert.deepEqual(await data(), kept);
  });

  /** Runs commands of the page the way a person does: one after the other in bash, with kubectl on PATH. */
  async function shell(commands: readonly string[]): Promise<void> {
    const env = {
      ...process.env,
      KUBECONFIG: world.cluster.kubeconfig,
      PATH: `${dirname(world.cluster.binaries.kubectl)}:${process.env['PATH']}`,
    };
    const script = ['set -euo pipefail', ...commands].join('\n');
    const { code, stderr } = await output('bash', ['-c', script], { cwd: folder, env });
    assert.equal(code, 0, `${commands.join('\n')}\n${stderr}`);
  }

  async function activeRoot(name = 'default'): Promise<string | undefined> {
    return (await world.authority(name)).status?.activeRoot?.fingerprint;
  }

  const rotation = async (name: string) => (await world.authority(name)).status?.rotation;

  /** No pods here that a rotation would have to wait for. */
  const configure = (name: string, settings: object) =>
    world.patchAuthority(name, { spec: { rotation: { propagationDelay: '1s', ...settings } } });

  /** Waits for the end of a rotation, and returns the root that signs then. */
  async function rotatedFrom(before: string | undefined, name = 'default'): Promise<string | undefined> {
    return eventually(
      async () => {
        const now = await activeRoot(name);
        assert.notEqual(now, before);
        assert.equal(await rotation(name), undefined);
        return now;
      },
      { timeoutMs: 90_000 },
    );
  }

  const secrets = () => world.api.list<Secret>(paths.secrets('shop'));

  /** Every Secret trusts these roots, and what each one shows is trusted by all. */
  async function assertTrusted(roots: readonly (string | undefined)[]): Promise<void> {
    const all = await secrets();
    assert.equal(all.length, 2);
    for (const trusting of all) {
      const bundle = fileOf(trusting, 'ca.crt');
      const certificates = bundle.match(/-----BEGIN[^]*?-----END CERTIFICATE-----\n/g) ?? [];
      const trusted = await Promise.all(certificates.map(fingerprintOf));
      assert.deepEqual(new Set(trusted), new Set(roots));
      assert.equal(trusted.length, roots.length);
      writeFileSync(join(folder, 'ca.crt'), bundle);
      for (const shown of all) await openssl(['verify', '-CAfile', join(folder, 'ca.crt')], fileOf(shown, 'tls.crt'));
    }
  }

  async function newRoot(): Promise<void> {
    const [make] = commandsOf('Bring your own root');
    await shell([
      (make ?? '').replace('root.key', 'new.key').replace('root.crt', 'new.crt').replace('Root', 'Next Root'),
    ]);
  }
});

const commandsOf = (title: string): readonly string[] => section('docs/operations.md', title).commands;
