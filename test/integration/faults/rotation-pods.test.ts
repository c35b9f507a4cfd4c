import assert from 'node:assert/strict';
import { after, afterEach, describe, it } from 'node:test';

import { eventually } from '../../support/eventually.ts';
import { killAfterWrites } from '../../support/faults/kill-after-write.ts';
import { installation, type Tenant } from '../../support/installation.ts';
import { grantPodCertificates } from '../../support/pods/grant.ts';
import { issuedTo, openPods, type PodWorld, signerOf } from '../../support/pods/pods.ts';

/** The operator is killed after every n-th write. CRASH_EVERY=1 covers every write, in about two minutes. */
const every = Number(process.env['CRASH_EVERY'] ?? 5);

/** The operator reports the record of the root Secret in status. */
const annotation = 'mtls-operator.io/pod-certificates';

let pods: PodWorld;
let tenant: Tenant;
const world = installation({ operator: false, watched: false, args: ['--pod-certificates'] }, async () => {
  await grantPodCertificates(world.cluster);
  pods = await openPods(world.cluster);
  tenant = await world.tenant('rotation-pods');
  const rotation = { propagationDelay: '300ms' };
  await world.createAuthority('default', { secretName: 'mtls-root', root: {}, podCertificates: {}, rotation });
});
after(() => pods?.close());
afterEach(() => world.killOperators());

describe('2. Intent survives: the operator, killed after a write while pods get certificates and the root rotates (30 s: it starts again after each)', () => {
  // A failure means: a certificate was signed before both records had it, or a rotation forgot it after the restart. Then the
  // pod is refused before its certificate expires.
  it('keeps the old root for the certificates of pods, whichever write was the last', async (t) => {
    const last = await killAfterWrites(t, {
      world,
      every,
      async begin(run) {
        const request = await requestCertificate();
        return async () => {
          const old = issuedTo(await pods.answered(request));
          const root = await recordedFor(old.validToDate);
          await world.rotateRoot('default', `after-${run}`);
          await waits(root);
          const { status } = await world.authority('default');
          assert.ok(
            status?.roots?.some(({ fingerprint }) => fingerprint === root),
            'the old root is not trusted',
          );
          // The certificate is valid for a day, and the API server accepts none of less than an hour.
          const { id } = status?.rotation ?? {};
          await world.patchAuthority('default', {
            metadata: { annotations: { 'mtls-operator.io/skip-gate': `${id}/Draining` } },
          });
          await ends(root);
        };
      },
    });
    // The record, its report in status, the answer, five steps of the rotation, and the status of each phase.
    assert.ok(last >= 3 + 5 + 4, `the operator made fewer than ${last} writes`);
  });
});

async function requestCertificate() {
  const pod = await pods.create(tenant.namespace, {
    certificates: [{ signerName: signerOf('default'), keyType: 'ECDSAP256' }],
  });
  return pods.request(pod);
}

/** Asserts that both records cover a certificate. Returns the fingerprint of the root that signs. */
async function recordedFor(notAfter: Date): Promise<string> {
  const { status } = await world.authority('default');
  const root = status?.activeRoot?.fingerprint ?? '';
  const reported = status?.podCertificates?.roots?.find(({ fingerprint }) => fingerprint === root)?.notAfter ?? '';
  assert.ok(new Date(reported) >= notAfter, `status reports ${reported} for ${notAfter.toISOString()}`);
  const { metadata } = await world.rootSecret('mtls-root');
  const { roots = {} } = JSON.parse(metadata.annotations?.[annotation] ?? '{}') as { roots?: Record<string, string> };
  assert.ok(
    Object.values(roots).some((until) => new Date(until) >= notAfter),
    `the root Secret records ${JSON.stringify(roots)}`,
  );
  return root;
}

/** Waits until the rotation only waits for the certificates that the old root has issued to pods. */
const waits = (root: string): Promise<void> =>
  eventually(
    async () => {
      const { status } = await world.authority('default');
      assert.equal(status?.rotation?.phase, 'Draining');
      assert.equal(status.rotation.oldRoot, root);
      // An earlier run has left its annotation, which is reported after the blockers.
      assert.match(
        status.rotation.blockers?.[0] ?? '',
        /^the certificates that the old root has issued to pods to expire: /,
      );
    },
    { timeoutMs: 60_000, message: 'the rotation does not wait for pods' },
  );

const ends = (root: string): Promise<void> =>
  eventually(
    async () => {
      const { status } = await world.authority('default');
      assert.equal(status?.rotation, undefined, JSON.stringify(status?.rotation));
      assert.ok(
        status?.roots?.every(({ fingerprint }) => fingerprint !== root),
        'the old root is still trusted',
      );
    },
    { timeoutMs: 60_000, message: 'the rotation does not end' },
  );
