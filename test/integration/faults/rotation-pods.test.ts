import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, afterEach, describe, it } from 'node:test';

import { paths } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { killAfterWrites } from '../../support/faults/kill-after-write.ts';
import { installation, type Tenant } from '../../support/installation.ts';
import { grantPodCertificates } from '../../support/pods/grant.ts';
import { issuedTo, openPods, type PodWorld, signerOf } from '../../support/pods/pods.ts';
import { refuseChanges } from '../../support/refuse.ts';

/**
 * The operator is killed after every n-th write, from a random write on: a run takes 30 s, and a few runs cover every write.
 * CRASH_EVERY=1 covers every write, in about two minutes.
 */
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
afterEach(async () => {
  await world.killOperators();
  await world.api.delete(paths.lease);
});

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

const shortLease = ['--lease-duration=3s', '--renew-deadline=2s', '--retry-period=500ms'];

describe('An abort with certificates in pods, on a replica that has just taken over (20 s: a Lease has to expire)', () => {
  for (const phase of ['Switching', 'Draining'] as const) {
    // A failure means: the new leader signs with the root that it knew as a standby, or a pod is refused after the abort.
    it(`in ${phase} keeps the root that it replaces until the certificates of that root are out of use`, async () => {
      const leader = await world.start({ args: shortLease });
      const rotation = { propagationDelay: '300ms', approval: 'Manual' };
      const name = await world.ownAuthority({ podCertificates: {}, rotation });
      const secrets = await world.tenant('abort');
      await secrets.issue('db', { authorityRef: { name }, server: { service: 'db' } });
      const first = await signingRoot(name);
      assert.ok((await certificateOf(name)).verify(first.publicKey));
      await world.start({ args: shortLease });
      const { id, thaw } = await reaches(phase, name, secrets);
      await leader.kill();
      const second = await signingRoot(name);
      assert.notEqual(second.fingerprint256, first.fingerprint256);
      assert.ok((await certificateOf(name)).verify(second.publicKey), 'the root that signed before the switch signs');
      await annotate(name, 'abort-rotation', id);
      await isAborting(name);
      await thaw();
      await eventually(async () => {
        const { status } = await world.authority(name);
        assert.equal(status?.rotation?.phase, 'Draining', JSON.stringify(status?.rotation));
        assert.match(
          status.rotation.blockers?.[0] ?? '',
          /^the certificates that the new root has issued to pods to expire: /,
        );
        assert.equal(status.roots?.length, 2);
      });
      const last = await certificateOf(name);
      assert.ok(last.verify(first.publicKey), 'the root that the abort takes back does not sign');
      assert.ok(last.validToDate.getTime() - last.validFromDate.getTime() <= 3_600_000, 'it is valid for long');
      await annotate(name, 'skip-gate', `${id}/Draining`);
      await ends(second.fingerprint256.replaceAll(':', '').toLowerCase(), name);
    });
  }
});

/** Rotates the root of an authority until this phase, and keeps the rotation in it. */
async function reaches(phase: 'Switching' | 'Draining', name: string, secrets: Tenant) {
  const token = `to-${phase}`;
  await world.rotateRoot(name, token);
  const id = await eventually(async () => {
    const { rotation } = (await world.authority(name)).status ?? {};
    assert.equal(rotation?.blockers?.length, 1, JSON.stringify(rotation));
    assert.match(rotation.blockers[0] ?? '', /^approval: /);
    return rotation.id;
  });
  // The certificate of this Secret stays one of the first root. In Draining, the rotation waits for the certificate of a pod.
  const thaw = phase === 'Switching' ? await refuseChanges(world, secrets, 'db-server-tls') : () => Promise.resolve();
  await annotate(name, 'approve-rotation', id);
  await eventually(async () => {
    const { rotation } = (await world.authority(name)).status ?? {};
    assert.equal(rotation?.phase, phase, JSON.stringify(rotation));
  });
  return { id, thaw };
}

const isAborting = (name: string): Promise<void> =>
  eventually(async () => {
    const { rotation } = (await world.authority(name)).status ?? {};
    assert.equal(rotation?.aborting, true, JSON.stringify(rotation));
  });

const annotate = (name: string, verb: string, value: string) =>
  world.patchAuthority(name, { metadata: { annotations: { [`mtls-operator.io/${verb}`]: value } } });

/** The root in the root Secret that signs. */
async function signingRoot(name: string): Promise<X509Certificate> {
  const { data } = await world.rootSecret(name);
  return new X509Certificate(Buffer.from(data?.['tls.crt'] ?? '', 'base64'));
}

/** The certificate of a new pod. */
const certificateOf = async (name: string): Promise<X509Certificate> =>
  issuedTo(await pods.answered(await requestCertificate(name)));

async function requestCertificate(name = 'default') {
  const pod = await pods.create(tenant.namespace, {
    certificates: [{ signerName: signerOf(name), keyType: 'ECDSAP256' }],
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

const ends = (root: string, name = 'default'): Promise<void> =>
  eventually(
    async () => {
      const { status } = await world.authority(name);
      assert.equal(status?.rotation, undefined, JSON.stringify(status?.rotation));
      assert.ok(
        status?.roots?.every(({ fingerprint }) => fingerprint !== root),
        'the old root is still trusted',
      );
    },
    { timeoutMs: 60_000, message: 'the rotation does not end' },
  );
