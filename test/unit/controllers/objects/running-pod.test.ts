import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { annotations } from '../../../../src/api/constants.ts';
import { podRecord } from '../../../../src/controllers/objects/running-pod.ts';
import type { KubeObject, Served } from '../../../../src/kube/index.ts';
import {
  anyAuthority,
  anyObject,
  bundlesOf,
  type FrozenContent,
  podCertificatesOf,
} from '../../../../src/plan/index.ts';

const createdAt = '2026-03-01T10:00:00Z';
const startedAt = '2026-03-01T11:00:00Z';
const running = { state: { running: { startedAt } } };

/** A pod on a node with one container, `app`, that has run since 11:00. */
const podWith = (
  spec: { app?: object; volumes?: readonly object[] } & Record<string, unknown>,
  status: object = { containerStatuses: [{ name: 'app', ...running }] },
): Served<KubeObject> => {
  const { app = {}, ...rest } = spec;
  return {
    metadata: { namespace: 'shop', name: 'payments-1', uid: 'uid', resourceVersion: '7', creationTimestamp: createdAt },
    spec: { nodeName: 'node', containers: [{ name: 'app', ...app }], ...rest },
    status,
  } as unknown as Served<KubeObject>;
};

const secret = (more: object = {}) => ({ name: 'tls', secret: { secretName: 'payments', ...more } });
const projected = (...sources: readonly object[]) => ({ name: 'tls', projected: { sources } });
const mount = (subPath?: string, more: object = {}) => ({
  volumeMounts: [{ name: 'tls', mountPath: '/tls', ...(subPath === undefined ? {} : { subPath }), ...more }],
});
const frozenIn = (pod: Served<KubeObject>): ReadonlyArray<string> =>
  (podRecord(pod)?.frozen ?? []).map(({ object, parts, by }: FrozenContent) => `${by} ${object}: ${parts.join('+')}`);
const both = 'roots+certificate';

describe('a pod never reads again', () => {
  const cases: Record<string, [pod: Served<KubeObject>, frozen: readonly string[]]> = {
    'nothing of a mounted Secret': [podWith({ app: mount(), volumes: [secret()] }), []],
    'nothing of a projected volume': [
      podWith({ app: mount(), volumes: [projected({ secret: { name: 'payments' } })] }),
      [],
    ],
    'a folder of a Secret by subPath': [
      podWith({ app: mount('x'), volumes: [secret()] }),
      [`subPath shop/payments: ${both}`],
    ],
    'the roots by subPath': [podWith({ app: mount('ca.crt'), volumes: [secret()] }), ['subPath shop/payments: roots']],
    'the certificate by subPath': [
      podWith({ app: mount('tls.crt'), volumes: [secret()] }),
      ['subPath shop/payments: certificate'],
    ],
    'the truststore by subPath': [
      podWith({ app: mount('truststore.p12'), volumes: [secret()] }),
      ['subPath shop/payments: roots'],
    ],
    'only a CRL, which no rotation waits for': [podWith({ app: mount('ca.crl'), volumes: [secret()] }), []],
    'a key under another path by subPath': [
      podWith({ app: mount('roots.pem'), volumes: [secret({ items: [{ key: 'ca.crt', path: 'roots.pem' }] })] }),
      ['subPath shop/payments: roots'],
    ],
    'the keys in a folder by subPath': [
      podWith({
        app: mount('pki'),
        volumes: [
          secret({
            items: [
              { key: 'tls.crt', path: 'pki/server.pem' },
              { key: 'ca.crt', path: 'pkix/ca.pem' },
            ],
          }),
        ],
      }),
      ['subPath shop/payments: certificate'],
    ],
    'what an expression names': [
      podWith({ app: mount(undefined, { subPathExpr: '$(FILE)' }), volumes: [secret()] }),
      [`subPath shop/payments: ${both}`],
    ],
    'a Secret, a ConfigMap and a bundle in a projected volume by subPath': [
      podWith({
        app: mount('ca.crt'),
        volumes: [
          projected(
            { secret: { name: 'payments', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
            { secret: { name: 'database', items: [{ key: 'password', path: 'password' }] } },
            { configMap: { name: 'mtls-trust' } },
            { clusterTrustBundle: { signerName: 'mtls-operator.io/default', path: 'ca.crt' } },
            { clusterTrustBundle: { name: 'mtls-operator.io:default:roots', path: 'ca.crt' } },
            { clusterTrustBundle: { name: 'x', path: 'x.crt' } },
            { clusterTrustBundle: { signerName: 'example.com/foo', path: 'ca.crt' } },
          ),
        ],
      }),
      [
        'subPath shop/payments: roots',
        'subPath ConfigMap shop/mtls-trust: roots',
        `subPath ${bundlesOf('default')}: roots`,
        'subPath ClusterTrustBundle mtls-operator.io:default:roots: roots',
      ],
    ],
    'a ConfigMap by subPath': [
      podWith({ app: mount('ca.crt'), volumes: [{ name: 'tls', configMap: { name: 'mtls-trust' } }] }),
      ['subPath ConfigMap shop/mtls-trust: roots'],
    ],
    'a podCertificate by subPath': [
      podWith({
        app: mount('credentials.pem'),
        volumes: [
          projected({
            podCertificate: { signerName: 'mtls-operator.io/default', credentialBundlePath: 'credentials.pem' },
          }),
        ],
      }),
      [`subPath ${podCertificatesOf('default')}: certificate`],
    ],
    'environment variables': [
      podWith({
        app: {
          env: [
            { name: 'A', valueFrom: { secretKeyRef: { name: 'payments', key: 'tls.crt' } } },
            { name: 'B', valueFrom: { secretKeyRef: { name: 'payments', key: 'ca.crt' } } },
            { name: 'C', valueFrom: { configMapKeyRef: { name: 'mtls-trust', key: 'ca.crt' } } },
            { name: 'D', value: 'x' },
            { name: 'E', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
          ],
          envFrom: [{ secretRef: { name: 'all' } }, { configMapRef: { name: 'map' } }],
        },
      }),
      [
        `variable shop/payments: ${both}`,
        'variable ConfigMap shop/mtls-trust: roots',
        `variable shop/all: ${both}`,
        'variable ConfigMap shop/map: roots',
      ],
    ],
  };
  for (const [title, [pod, frozen]] of Object.entries(cases)) {
    test(title, () => assert.deepEqual(frozenIn(pod), frozen));
  }
});

describe('a copy that an init container makes', () => {
  const scratch = { name: 'scratch', emptyDir: {} };
  const into = { name: 'scratch', mountPath: '/out' };
  const done = { state: { terminated: { startedAt } } };
  const pod = (changes: { app?: object; init?: object; initStatus?: object; volumes?: readonly object[] } = {}) => {
    const { app = {}, init = {}, initStatus = done, volumes = [] } = changes;
    return podWith(
      {
        app: { volumeMounts: [into], ...app },
        initContainers: [{ name: 'copy', volumeMounts: [{ name: 'tls', mountPath: '/in' }, into], ...init }],
        volumes: [secret(), scratch, ...volumes],
      },
      {
        containerStatuses: [{ name: 'app', state: { running: { startedAt: '2026-03-01T11:30:00Z' } } }],
        initContainerStatuses: [{ name: 'copy', ...initStatus }],
      },
    );
  };
  const copied = [`copy shop/payments: ${both}`];

  test('is never made again, and dates from the start of the init container', () => {
    assert.deepEqual(frozenIn(pod()), copied);
    assert.equal(podRecord(pod())?.startedAtMs, Date.parse(startedAt));
  });

  const cases: Record<string, [pod: Served<KubeObject>, frozen: readonly string[]]> = {
    'may come from an environment variable': [
      pod({
        init: { volumeMounts: [into], env: [{ valueFrom: { secretKeyRef: { name: 'payments', key: 'ca.crt' } } }] },
      }),
      ['copy shop/payments: roots'],
    ],
    'does not count if the container mounts the volume itself': [
      pod({ app: { volumeMounts: [into, { name: 'tls', mountPath: '/tls' }] } }),
      [],
    ],
    'cannot be made without a volume that both mount': [pod({ app: { volumeMounts: [] } }), []],
    'cannot be made into a volume that is mounted read-only': [
      pod({
        init: {
          volumeMounts: [
            { name: 'tls', mountPath: '/in' },
            { ...into, readOnly: true },
          ],
        },
      }),
      [],
    ],
    'cannot be made into a Secret': [
      pod({
        app: { volumeMounts: [{ name: 'other', mountPath: '/o' }] },
        init: {
          volumeMounts: [
            { name: 'tls', mountPath: '/in' },
            { name: 'other', mountPath: '/o' },
          ],
        },
        volumes: [{ name: 'other', secret: { secretName: 'other' } }],
      }),
      [],
    ],
    'is made later by an init container that waits': [pod({ initStatus: { state: { waiting: {} } } }), []],
    'is updated by a sidecar, which runs on': [pod({ init: { restartPolicy: 'Always' } }), []],
  };
  for (const [title, [given, frozen]] of Object.entries(cases)) {
    test(title, () => assert.deepEqual(frozenIn(given), frozen));
  }
});

describe('the start of a pod with frozen content', () => {
  const spec = { app: mount('ca.crt'), volumes: [secret()] };
  const startOf = (status: object, more: object = {}) => podRecord(podWith({ ...spec, ...more }, status))?.startedAtMs;

  test('is that of its container', () => {
    assert.equal(startOf({ containerStatuses: [{ name: 'app', ...running }] }), Date.parse(startedAt));
  });

  test('is its creation while kubelet has reported no status', () => {
    assert.equal(startOf({}), Date.parse(createdAt));
  });

  test('is not before its creation, if the clock of the node is behind', () => {
    const state = { running: { startedAt: '2026-03-01T09:00:00Z' } };
    assert.equal(startOf({ containerStatuses: [{ name: 'app', state }] }), Date.parse(createdAt));
  });

  test('is that of the oldest container with frozen content', () => {
    const other = { name: 'other', volumeMounts: [{ name: 'tls', mountPath: '/x', subPath: 'ca.crt' }] };
    const plain = { name: 'plain' };
    const at = (name: string, time: string) => ({ name, state: { running: { startedAt: time } } });
    const containerStatuses = [
      at('app', '2026-03-01T11:30:00Z'),
      at('other', '2026-03-01T11:20:00Z'),
      at('plain', '2026-03-01T10:30:00Z'),
    ];
    const containers = [{ name: 'app', ...mount('ca.crt') }, other, plain];
    assert.equal(startOf({ containerStatuses }, { containers }), Date.parse('2026-03-01T11:20:00Z'));
  });

  for (const state of [{ waiting: { reason: 'CrashLoopBackOff' } }, { terminated: { startedAt } }]) {
    test(`does not matter for a container that is ${Object.keys(state)[0]}: it holds nothing`, () => {
      assert.equal(startOf({ containerStatuses: [{ name: 'app', state }] }), undefined);
    });
  }
});

describe('the record of a pod', () => {
  test('does not exist for a pod that no rotation waits for', () => {
    assert.equal(podRecord(podWith({})), undefined);
  });

  test('has the authorities of its podCertificates, once for each source', () => {
    const source = (signerName: string) => ({ podCertificate: { signerName, credentialBundlePath: 'x' } });
    const volumes = [
      projected(source('mtls-operator.io/default'), source('example.com/other'), source('mtls-operator.io/edge')),
      { ...projected(source('mtls-operator.io/default')), name: 'more' },
    ];
    assert.deepEqual(podRecord(podWith({ volumes }))?.signers, ['default', 'edge', 'default']);
  });

  test('has the controller, and the phase for which the operator restarted the workload', () => {
    const given = podWith({ app: mount('ca.crt'), volumes: [secret()] });
    const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'payments', uid: 'u' };
    const metadata = {
      ...given.metadata,
      annotations: { [annotations.restartedFor]: 'default/r1/Draining', other: 'x'.repeat(1000) },
      ownerReferences: [{ ...owner, controller: true, blockOwnerDeletion: true }],
    };
    const record = podRecord({ ...given, metadata });
    assert.deepEqual([record?.owner, record?.restartedFor], [owner, 'default/r1/Draining']);
    assert.ok(!JSON.stringify(record).includes('xxx'));
  });

  test('is bounded: a pod with too much content counts as a reader of any object', () => {
    const any = [`subPath ${anyObject}: ${both}`];
    const envFrom = (count: number, length: number) =>
      Array.from({ length: count }, (_, i) => ({ secretRef: { name: `${i}`.padStart(length, 's') } }));
    assert.equal(frozenIn(podWith({ app: { envFrom: envFrom(32, 8) } })).length, 32);
    assert.deepEqual(frozenIn(podWith({ app: { envFrom: envFrom(33, 8) } })), any);
    assert.deepEqual(frozenIn(podWith({ app: { envFrom: envFrom(20, 200) } })), any);
    const large = podRecord({ ...podWith({}), isPartial: true });
    assert.deepEqual([large?.frozen[0]?.object, large?.signers], [anyObject, [anyAuthority]]);
    // No object has such a name.
    assert.deepEqual(frozenIn(podWith({ app: { envFrom: envFrom(1, 5000) } })), []);
    const volumes = [
      projected(...Array.from({ length: 100 }, () => ({ podCertificate: { signerName: 'mtls-operator.io/default' } }))),
    ];
    assert.deepEqual(podRecord(podWith({ volumes }))?.signers, [anyAuthority]);
  });

  test('of pods of one workload shares what they have in common', () => {
    const [one, other] = [1, 2].map(() => podRecord(podWith({ app: mount('ca.crt'), volumes: [secret()] })));
    assert.ok(one !== undefined && one !== other && one.frozen === other?.frozen && one.signers === other.signers);
  });
});
