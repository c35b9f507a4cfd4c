import assert from 'node:assert/strict';
import { join } from 'node:path';

import { kindsAreServed, paths, type Secret } from '../../support/api.ts';
import { assertTrustedRoots } from '../../support/behaviours/trusted-roots.ts';
import { CHART, openHelm } from '../../support/chart/helm.ts';
import { runPage } from '../../support/docs/run-page.ts';
import { eventually } from '../../support/eventually.ts';
import { installation } from '../../support/installation.ts';

const world = installation({ operator: false, manifests: false }, async ({ cluster }) => {
  const helm = await openHelm('helm', cluster.kubeconfig);
  const where = ['--namespace=mtls-operator', '--create-namespace'];
  await helm.run(['install', 'mtls-operator', CHART, ...where], { commonLabels: { team: 'platform' } });
  await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=120s', 'crd', '--all']);
  await kindsAreServed(world.api);
  await world.start();
  await cluster.kubectl(['apply', '-f', join(import.meta.dirname, '../../../deploy/examples/payments.yaml')]);
  // There are no pods here for a rotation to wait for.
  await world.patchAuthority('default', { spec: { rotation: { propagationDelay: '1s' } } });
  await world.tenantOf('shop').rotate('payments', 'before-the-backup');
  await world.tenantOf('shop').ready('payments');
});

let original: string | undefined;
let folder: string;
let saved: ReadonlyMap<string, unknown>;
let earlier: readonly string[];

runPage('docs/operations/backup.md', world, {
  async before(reader) {
    ({ folder } = reader);
    original = await activeRoot();
  },
  instead: {
    // A test writes nothing into the home of its user.
    'backup="$HOME': ({ run }) => run(`backup=${folder}/kept`),
    // The operator of a test is no pod.
    async 'helm upgrade'({ run }, command) {
      await run(command);
      await world.start();
    },
  },
  after: {
    /** The cluster is lost: a new one has no kinds, no root and no operator. */
    async 'Back up everything else'({ run }) {
      saved = await secretData();
      assert.equal(saved.size, 2);
      earlier = await replacedSerials();
      assert.equal(earlier.length, 2);
      await world.operator.stop();
      await run(
        'helm -n mtls-operator uninstall mtls-operator && kubectl delete namespace shop mtls-operator && kubectl delete -k crds',
      );
    },
    async 'Restore the roots'() {
      assert.equal(await activeRoot(), original);
      assert.deepEqual(await secretData(), saved);
      assert.deepEqual(await replacedSerials(), earlier);
      await assertTrusted([original]);
      // The root Secret is lost while the operator runs.
      await world.api.delete(paths.rootSecret('mtls-root'));
      const another = await eventually(
        async () => {
          const { status } = await world.authority('default');
          assert.notEqual(status?.activeRoot?.fingerprint, original);
          assert.equal(status?.rotation, undefined);
          return status?.activeRoot?.fingerprint;
        },
        { timeoutMs: 90_000 },
      );
      await assertTrusted([another]);
    },
    async 'If the operator has already created another root'() {
      assert.equal(await activeRoot(), original);
      await assertTrusted([original]);
    },
    async 'Restore the CRL'({ run }) {
      await run('kubectl get secrets -n shop -o json | portable > "$backup/secrets.json"');
      await run('kubectl get mcert -n shop -o json | portable > "$backup/certificates.json"');
      saved = await secretData();
      await run('kubectl delete namespace shop');
    },
    async 'Restore a namespace'() {
      assert.deepEqual(await secretData(), saved);
      await eventually(async () => {
        const serials = await replacedSerials();
        for (const serial of earlier) assert.ok(serials.includes(serial), serial);
      });
      await world.tenantOf('shop').revoke('payments', 'after-the-restore');
      const [crl] = await world.crls('mtls-root');
      const revoked = crl?.revoked.map(({ serialNumber }) => serialNumber) ?? [];
      for (const serial of earlier) assert.ok(revoked.includes(serial), serial);
    },
  },
});

const activeRoot = async (): Promise<string | undefined> =>
  (await world.authority('default')).status?.activeRoot?.fingerprint;

/** The serial numbers of the certificates that status lists as replaced. */
const replacedSerials = async (): Promise<readonly string[]> => {
  const { status } = await world.tenantOf('shop').get('payments');
  return (status?.secrets ?? []).flatMap(({ replaced = [] }) => replaced.map(({ serialNumber }) => serialNumber));
};

const secrets = () => world.api.list<Secret>(paths.secrets('shop'));

const secretData = async (): Promise<ReadonlyMap<string, unknown>> =>
  new Map((await secrets()).map(({ metadata, data }) => [metadata.name, data]));

/** Both Secrets trust these roots, and every certificate verifies against the roots of every Secret. */
async function assertTrusted(roots: readonly (string | undefined)[]): Promise<void> {
  const all = await secrets();
  assert.equal(all.length, 2);
  await assertTrustedRoots(all, roots);
}
