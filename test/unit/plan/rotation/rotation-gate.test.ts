import { describe } from 'node:test';
import type { IssuedSecret } from '../../../../src/plan/index.ts';
import { rootIdOf } from '../../../support/fixtures/roots.ts';
import { days, earlier, hours, later, minutes } from '../../../support/fixtures/times.ts';
import { distributing, draining, overwritten, retiring, switching } from './rotation-phases.ts';
import { bundleOf, next, old, other } from './rotation-roots.ts';
import { knows, leafOf, rotationIn, type Situation, secretsOf } from './rotation-situation.ts';
import { rotating } from './rotation-specs.ts';
import { type Case, check, nextRootQueued, toSkip, unapproved, verdicts, waiting } from './rotation-table.ts';

type Gated = 'Distributing' | 'Switching' | 'Draining' | 'Retiring';

/** A phase that waits for these blockers. */
const waits = (
  given: Situation,
  counts: readonly [done: number, total: number],
  reasons: readonly string[],
  more: { opensInMs?: number; waitsForPods?: true; verdict?: Case['plan']['verdict'] } = {},
): Case => {
  const { verdict = verdicts[given.rotation?.phase as Gated], ...report } = more;
  return { given, plan: { ...waiting(given, counts, reasons, report), verdict } };
};

/** A Secret that was issued and is missing now. */
const lost = (displayName: string, signer = old): IssuedSecret => ({
  namespace: displayName.split('/')[0] ?? '',
  displayName,
  leaf: leafOf(signer),
  changedAtMs: Number.POSITIVE_INFINITY,
});
/** A ClusterTrustBundle that holds the new root since a given time. */
const inCluster = (changedAtMs: number) => ({
  namespace: '',
  displayName: 'ClusterTrustBundle x',
  bundle: bundleOf(old, next).digest,
  changedAtMs,
  isClusterTrustBundle: true as const,
});
const inPods = (outgoing: string, until: string) =>
  `the certificates that ${outgoing} has issued to pods to expire: until ${until}${toSkip('r1/Draining', 'the phase Draining')}`;
const delay = (until: string, text = '3m') => `pods to load the last change: until ${until} (propagationDelay ${text})`;
const unknownRoot = 'status to name the new root';

describe('the phase Distributing', () => {
  const carry = 'Secrets to hold the new root';
  const [a, b] = secretsOf(old, old, next) as [IssuedSecret, IssuedSecret];
  const [stale] = secretsOf(old, old) as [IssuedSecret];
  check({
    'waits for a Secret without the new root': waits(
      { ...distributing, secrets: [stale, b] },
      [1, 2],
      [`1 of 2 ${carry}: shop/a`],
    ),
    'names three of many Secrets': waits(
      {
        ...distributing,
        secrets: ['a', 'b', 'c', 'd', 'e'].map((name) => ({ ...stale, displayName: `shop/${name}` })),
      },
      [0, 5],
      [`5 of 5 ${carry}: shop/a, shop/b, shop/c, …`],
    ),
    'names Secrets of different namespaces first, so that one namespace does not hide the others': waits(
      {
        ...distributing,
        secrets: ['x/a', 'x/b', 'x/c', 'x/d', 'shop/a', 'web/a'].map((displayName) => ({
          ...stale,
          namespace: displayName.split('/')[0] ?? '',
          displayName,
        })),
      },
      [0, 6],
      [`6 of 6 ${carry}: x/a, shop/a, web/a, …`],
    ),
    'names all of three Secrets': waits(
      { ...distributing, secrets: ['a', 'b', 'c'].map((name) => ({ ...stale, displayName: `shop/${name}` })) },
      [0, 3],
      [`3 of 3 ${carry}: shop/a, shop/b, shop/c`],
    ),
    'waits for a deleted Secret, because a pod may mount it': waits(
      { ...distributing, secrets: [a, lost('shop/b')] },
      [1, 2],
      [`1 of 2 ${carry}: shop/b`],
    ),
    'waits for a bundle that is not published yet and for an outdated one': waits(
      {
        ...distributing,
        publications: [
          { namespace: 'a', displayName: 'ConfigMap a/trust', changedAtMs: Number.POSITIVE_INFINITY },
          { namespace: 'b', displayName: 'ConfigMap b/trust', bundle: bundleOf(old).digest, changedAtMs: 0 },
          { namespace: 'c', displayName: 'ConfigMap c/trust', bundle: bundleOf(old, next).digest, changedAtMs: 0 },
        ],
      },
      [3, 5],
      ['2 of 5 Secrets and bundles to hold the new root: ConfigMap a/trust, ConfigMap b/trust'],
    ),
    'does not accept another bundle that holds the new root': waits(
      { ...distributing, secrets: [{ ...a, bundle: bundleOf(next, old).digest }, b] },
      [1, 2],
      [`1 of 2 ${carry}: shop/a`],
    ),
    'waits for pods to load the last change': waits(
      { ...distributing, secrets: [a, { ...b, changedAtMs: 1 }] },
      [1, 2],
      [delay('2026-03-01T12:00:00Z')],
      { opensInMs: 1 },
    ),
    'waits for pods to load a published bundle': waits(
      {
        ...distributing,
        publications: [
          { namespace: 'x', displayName: 'x', bundle: bundleOf(old, next).digest, changedAtMs: minutes(2) },
        ],
      },
      [2, 3],
      [delay('2026-03-01T12:02:00Z')],
      { opensInMs: minutes(2) },
    ),
    'waits for the delay in the current spec': waits(
      { ...distributing, spec: rotating({ propagationDelay: '1h' }) },
      [0, 2],
      [delay('2026-03-01T12:57:00Z', '1h')],
      { opensInMs: minutes(57) },
    ),
    'counts the delay of each object from its own last change': waits(
      {
        ...distributing,
        secrets: [a, { ...b, changedAtMs: 1 }, { ...b, displayName: 'shop/c', changedAtMs: minutes(2) }],
      },
      [1, 3],
      [delay('2026-03-01T12:02:00Z')],
      { opensInMs: minutes(2) },
    ),
    'names missing objects first, then objects that keep changing': waits(
      { ...distributing, secrets: [stale, { ...b, changedAtMs: 1, changeCount: 3 }] },
      [0, 2],
      [
        `1 of 2 ${carry}: shop/a`,
        `1 of 2 ${carry} and to stay unchanged: shop/b (changed 3 times)${toSkip('r1/Distributing/shop')}`,
      ],
    ),
    'names an object that keeps changing from its second change on': waits(
      {
        ...distributing,
        secrets: [
          { ...a, changedAtMs: minutes(1), changeCount: 1 },
          { ...b, changedAtMs: minutes(2), changeCount: 2 },
          { ...b, displayName: 'shop/c', changeCount: 9 },
        ],
      },
      [1, 3],
      [`1 of 3 ${carry} and to stay unchanged: shop/b (changed 2 times)${toSkip('r1/Distributing/shop')}`],
      { opensInMs: minutes(2) },
    ),
    'says why an object may never meet the gate': waits(
      { ...distributing, secrets: [{ ...stale, detail: 'Denied' }, b] },
      [1, 2],
      [`1 of 2 ${carry}: shop/a (Denied)${toSkip('r1/Distributing/shop')}`],
    ),
    'waits longer for a ClusterTrustBundle, which kubelet caches': waits(
      { ...distributing, publications: [inCluster(minutes(0))] },
      [2, 3],
      ['every node to load the ClusterTrustBundle: until 2026-03-01T12:04:00Z (clusterTrustBundleDelay 7m)'],
      { opensInMs: minutes(4) },
    ),
    'does not wait longer for a ClusterTrustBundle when the general delay is longer': waits(
      {
        ...distributing,
        publications: [inCluster(minutes(0))],
        spec: rotating({ propagationDelay: '10m' }),
      },
      [0, 3],
      [delay('2026-03-01T12:07:00Z', '10m')],
      { opensInMs: minutes(7) },
    ),
    'waits for a ClusterTrustBundle as long as clusterTrustBundleDelay says': waits(
      {
        ...distributing,
        publications: [inCluster(1)],
        spec: rotating({ clusterTrustBundleDelay: '0s' }),
      },
      [2, 3],
      [delay('2026-03-01T12:00:00Z')],
      { opensInMs: 1 },
    ),
    'waits for a valid clusterTrustBundleDelay': waits(
      { ...distributing, spec: rotating({ clusterTrustBundleDelay: 'x' }) },
      [0, 2],
      ['spec.rotation.clusterTrustBundleDelay to be a valid duration'],
    ),
    'waits for a valid propagationDelay': waits(
      { ...distributing, spec: rotating({ propagationDelay: 'x' }) },
      [0, 2],
      ['spec.rotation.propagationDelay to be a valid duration'],
    ),
    'waits for status to name the incoming root, in case the Secret is overwritten': waits(
      { ...distributing, status: knows([old]) },
      [2, 2],
      [unknownRoot],
    ),
    'waits for every blocker': waits(
      { ...distributing, status: {}, spec: rotating({ approval: 'Manual' }), secrets: [stale, b] },
      [1, 2],
      [`1 of 2 ${carry}: shop/a`, unknownRoot, unapproved],
    ),
    'waits only for approval': waits({ ...distributing, spec: rotating({ approval: 'Manual' }) }, [2, 2], [unapproved]),
    'waits for the delay even if it is approved': waits(
      {
        ...distributing,
        spec: rotating({ approval: 'Manual' }),
        rotation: rotationIn('Distributing', { approved: 'r1' }),
        monotonicMs: 0,
      },
      [0, 2],
      [delay('2026-03-01T12:03:00Z')],
      { opensInMs: minutes(3) },
    ),
    'waits for bundles that start with the old root, even if its key is gone': waits(
      { ...overwritten, secrets: [{ ...a, bundle: bundleOf(next, old).digest }, b] },
      [1, 2],
      [`1 of 2 ${carry}: shop/a`],
      { verdict: verdicts.overwritten },
    ),
    'does not wait for a Secret whose certificate has expired or is not valid': waits(
      {
        ...distributing,
        secrets: [
          { ...stale, leaf: { ...leafOf(old), notAfter: earlier(0) } },
          { namespace: 'shop', displayName: 'shop/c', bundle: stale.bundle ?? '', changedAtMs: 0 },
          { ...b, changedAtMs: minutes(3) },
        ],
      },
      [0, 1],
      [delay('2026-03-01T12:03:00Z')],
      { opensInMs: minutes(3) },
    ),
    'waits for a Secret whose certificate is from an unknown root': waits(
      {
        ...distributing,
        secrets: [{ namespace: 'shop', displayName: 'shop/a', changedAtMs: 0, leaf: { notAfter: later(days(1)) } }, b],
      },
      [1, 2],
      [`1 of 2 ${carry}: shop/a`],
    ),
    'waits for bundles with the new root even if an administrator removed it from ca.crt': waits(
      { ...distributing, trusted: [old], secrets: [stale, b] },
      [1, 2],
      [`1 of 2 ${carry}: shop/a`],
    ),
  });
});

describe('the phase Switching', () => {
  const have = 'Secrets to hold a certificate issued by the new root';
  const [a, b] = switching.secrets as [IssuedSecret, IssuedSecret];
  const of = (secret: IssuedSecret, root: typeof old) => ({ ...secret, leaf: leafOf(root) });
  const { root: _, ...unknown } = leafOf(old);
  check({
    'waits for a Secret with a certificate issued by the old root': waits(
      { ...switching, secrets: [of(a, old), b] },
      [1, 2],
      [`1 of 2 ${have}: shop/a`],
    ),
    'waits for a Secret with a certificate of another or unknown root': waits(
      { ...switching, secrets: [of(a, other), { ...b, leaf: unknown }] },
      [0, 2],
      [`2 of 2 ${have}: shop/a, shop/b`],
    ),
    'waits for a deleted Secret with any issuer': waits(
      { ...switching, secrets: [a, lost('shop/b', next)] },
      [1, 2],
      [`1 of 2 ${have}: shop/b`],
    ),
    'does not wait for a Secret whose certificate has expired': waits(
      { ...switching, secrets: [{ ...a, leaf: { ...leafOf(old), notAfter: earlier(0) } }, of(b, old)] },
      [0, 1],
      [`1 of 1 ${have}: shop/b`],
    ),
    'reports a root that was staged in the meantime': {
      given: { ...switching, next: other, secrets: [of(a, old), b] },
      plan: {
        ...waiting(switching, [1, 2], [`1 of 2 ${have}: shop/a`], {
          notices: [nextRootQueued],
        }),
        verdict: verdicts.Switching,
      },
    },
  });
});

describe('the phase Draining', () => {
  const [a, b] = draining.secrets as [IssuedSecret, IssuedSecret];
  check({
    'waits for a restored certificate of the old root': waits(
      { ...draining, secrets: [a, { ...b, leaf: leafOf(old) }] },
      [1, 2],
      ['1 of 2 Secrets to hold a certificate issued by the new root: shop/b'],
    ),
    'waits for pods to load the last certificate': waits(
      { ...draining, secrets: [a, { ...b, changedAtMs: minutes(1) }] },
      [1, 2],
      [delay('2026-03-01T12:01:00Z')],
      { opensInMs: minutes(1) },
    ),
    'waits for a valid propagationDelay': waits(
      { ...draining, spec: rotating({ propagationDelay: '' }) },
      [0, 2],
      ['spec.rotation.propagationDelay to be a valid duration'],
    ),
    'waits for status to name the signing root before the old one is dropped': waits(
      { ...draining, status: knows([old, next]) },
      [2, 2],
      [unknownRoot],
    ),
    'waits for the certificates of pods that the old root has issued': waits(
      { ...draining, inPods: [[old, later(hours(2))]] },
      [2, 2],
      [inPods('the old root', '2026-03-01T14:00:00Z')],
      { opensInMs: hours(2), waitsForPods: true },
    ),
    'waits for pods to load the last certificate, and for the certificates of pods': waits(
      { ...draining, secrets: [a, { ...b, changedAtMs: minutes(1) }], inPods: [[old, later(1)]] },
      [1, 2],
      [delay('2026-03-01T12:01:00Z'), inPods('the old root', '2026-03-01T12:00:00Z')],
      { opensInMs: minutes(1) },
    ),
    'waits for the certificates of pods longer than for the last certificate': waits(
      { ...draining, secrets: [a, { ...b, changedAtMs: minutes(1) }], inPods: [[old, later(hours(1))]] },
      [1, 2],
      [delay('2026-03-01T12:01:00Z'), inPods('the old root', '2026-03-01T13:00:00Z')],
      { opensInMs: hours(1) },
    ),
    'names no time while a Secret is missing as well': waits(
      { ...draining, secrets: [a, { ...b, leaf: leafOf(old) }], inPods: [[old, later(hours(1))]] },
      [1, 2],
      [
        '1 of 2 Secrets to hold a certificate issued by the new root: shop/b',
        inPods('the old root', '2026-03-01T13:00:00Z'),
      ],
    ),
    'of an abort waits for the certificates of pods that the new root has issued': waits(
      {
        ...draining,
        rotation: rotationIn('Draining', { old: [rootIdOf(old)], new: rootIdOf(next), aborting: true }),
        inPods: [[old, later(hours(1))]],
      },
      [2, 2],
      [inPods('the new root', '2026-03-01T13:00:00Z')],
      { opensInMs: hours(1), waitsForPods: true },
    ),
    'does not wait for bundles, whose order may differ': waits(
      { ...draining, status: {}, secrets: [{ ...a, bundle: bundleOf(old, next).digest }, b] },
      [2, 2],
      [unknownRoot],
    ),
  });
});

describe('the phase Retiring', () => {
  const [, b] = retiring.secrets as [IssuedSecret, IssuedSecret];
  const [withOld] = switching.secrets as [IssuedSecret];
  check({
    'waits for a Secret that still has the old root': waits(
      { ...retiring, secrets: [withOld, b] },
      [1, 2],
      ['1 of 2 Secrets to drop the old root: shop/a'],
    ),
    'waits for a published bundle that still has the old root': waits(
      {
        ...retiring,
        publications: [
          { namespace: 'a', displayName: 'ConfigMap a/t', bundle: bundleOf(next, old).digest, changedAtMs: 0 },
        ],
      },
      [2, 3],
      ['1 of 3 Secrets and bundles to drop the old root: ConfigMap a/t'],
    ),
    'waits for a deleted Secret': waits(
      { ...retiring, secrets: [lost('shop/a', next), b] },
      [1, 2],
      ['1 of 2 Secrets to drop the old root: shop/a'],
    ),
  });
});
