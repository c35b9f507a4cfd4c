import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Issuance } from '../../../../src/api/types.ts';
import { anchorId } from '../../../../src/pki/index.ts';
import { issuancePolicy, type ObservedPodRequest, planPodCertificate, retryTime } from '../../../../src/plan/index.ts';
import { notReady, ready } from '../../../support/fixtures/authority.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { hours, minutes } from '../../../support/fixtures/times.ts';

const now = new Date('2026-06-01T12:00:00.500Z');
const issuer = root();
const recorded = (until: Date) => ({ roots: new Map([[anchorId(issuer.anchor), until]]), issuers: new Map() });
/** An authority whose root Secret has the record for every certificate that the tests request. */
const recordedReady = () => ({ ...ready(issuer), podLeaves: recorded(new Date('2026-06-20T00:00:00Z')) });
const keyTypes = ['ECDSAP256', 'ECDSAP384', 'ECDSAP521', 'ED25519', 'RSA3072', 'RSA4096'] as const;
const services = 'mtls-operator.io/services';
const dnsNames = 'mtls-operator.io/dns-names';
const ipAddresses = 'mtls-operator.io/ip-addresses';

type Parts = {
  request?: Partial<ObservedPodRequest['request']>;
  pod?: Partial<NonNullable<ObservedPodRequest['pod']>>;
  annotations?: Readonly<Record<string, string>>;
  podCertificates?: Partial<ObservedPodRequest['podCertificates']>;
  issuance?: Issuance;
} & Partial<Pick<ObservedPodRequest, 'key' | 'authority' | 'namespace' | 'services'>>;

/** A request for the pod shop/web on the node n1, and everything that it depends on. */
function observed(parts: Parts = {}): ObservedPodRequest {
  const { issuance, annotations = {} } = parts;
  const authority = recordedReady();
  return {
    request: {
      namespace: 'shop',
      name: 'request-1',
      uid: 'request-uid',
      resourceVersion: '7',
      creationTimestamp: '2026-06-01T12:00:00Z',
      authority: 'default',
      podName: 'web',
      podUid: 'pod-uid',
      serviceAccountName: 'checkout',
      nodeName: 'n1',
      maxExpirationMs: hours(24),
      key: { problem: 'not used by the plan' },
      annotationsDigest: 'digest',
      ...parts.request,
    },
    key: { kind: 'ECDSA-256' },
    podCertificates: { keyTypes, maxDuration: '24h', ...parts.podCertificates },
    authority: issuance === undefined ? authority : { ...authority, issuance: issuancePolicy(issuance) },
    namespace: { name: 'shop', terminating: false, labels: { team: 'shop' } },
    services: new Map([['payments', { selector: { app: 'web' } }]]),
    ...('key' in parts ? { key: parts.key } : {}),
    ...('authority' in parts ? { authority: parts.authority } : {}),
    ...('namespace' in parts ? { namespace: parts.namespace } : {}),
    ...('services' in parts ? { services: parts.services } : {}),
    pod: {
      uid: 'pod-uid',
      serviceAccountName: 'checkout',
      nodeName: 'n1',
      hostname: 'web-0',
      labels: { app: 'web', tier: 'front' },
      isFinished: false,
      hasStarted: false,
      sources: [{ annotations, digest: 'digest' }],
      ...parts.pod,
    },
  };
}

const plan = (parts: Parts = {}) => planPodCertificate(observed(parts), now);

/** The step with its reason, or the names of a certificate. */
function outcome(parts: Parts): string {
  const planned = plan(parts);
  if (planned.step !== 'issue') return 'reason' in planned ? `${planned.step} ${planned.reason}` : planned.step;
  const { dnsNames: dns, ipAddresses: ips, uris } = planned.profile.names;
  return ['issue', ...uris, ...dns, ...ips].join(' ');
}

const id = 'spiffe://cluster.local/ns/shop/sa/checkout';
const names = 'payments.shop payments.shop.svc payments.shop.svc.cluster.local';
const selecting = { matchLabels: { team: 'edge' } };

const table: Readonly<Record<string, readonly [Parts, string]>> = {
  'a pod gets the SPIFFE ID of its ServiceAccount': [{}, `issue ${id}`],
  'a pod gets the names of a Service that selects it': [
    { annotations: { [services]: ' payments ' } },
    `issue ${id} ${names}`,
  ],
  'the bare name of a Service needs a grant': [
    {
      annotations: { [services]: 'payments' },
      issuance: { allow: [{ namespaceSelector: {}, dnsNames: ['payments'] }] },
    },
    `issue ${id} payments ${names}`,
  ],
  'a pod of a StatefulSet gets its own name below a Service': [
    { annotations: { [services]: 'payments', [dnsNames]: 'web-0.payments.shop.svc.cluster.local' } },
    `issue ${id} ${names} web-0.payments.shop.svc.cluster.local`,
  ],
  'a pod does not get the name of another pod below a Service': [
    { annotations: { [services]: 'payments', [dnsNames]: 'web-1.payments.shop.svc.cluster.local' } },
    'deny NamesDenied',
  ],
  'a pod does not get the name of a Service that does not list it': [
    { annotations: { [dnsNames]: 'payments.shop.svc' } },
    'deny NamesDenied',
  ],
  'a pod gets granted names, in normal form': [
    {
      annotations: { [dnsNames]: 'WWW.example.com., www.example.com', [ipAddresses]: '10.1.2.3,fd00:0::1' },
      issuance: {
        allow: [{ namespaceSelector: {}, dnsNames: ['*.example.com'], ipRanges: ['10.0.0.0/8', 'fd00::/8'] }],
      },
    },
    `issue ${id} www.example.com 10.1.2.3 fd00::1`,
  ],
  'a name without a grant is denied': [{ annotations: { [dnsNames]: 'www.example.com' } }, 'deny NamesDenied'],
  'an address without a grant is denied': [{ annotations: { [ipAddresses]: '10.1.2.3' } }, 'deny NamesDenied'],
  'a pod that runs waits for a withdrawn grant': [
    { annotations: { [dnsNames]: 'www.example.com' }, pod: { hasStarted: true } },
    'wait NamesDenied',
  ],
  'a Service that does not exist is awaited': [
    { annotations: { [services]: 'payments' }, services: new Map() },
    'wait ServiceNotFound',
  ],
  'a Service that does not select the pod is awaited': [
    { annotations: { [services]: 'payments' }, services: new Map([['payments', { selector: { app: 'api' } }]]) },
    'wait ServiceDoesNotSelectPod',
  ],
  'a Service without a selector selects no pod': [
    { annotations: { [services]: 'payments' }, services: new Map([['payments', {}]]) },
    'wait ServiceDoesNotSelectPod',
  ],
  'a Service with an empty selector selects no pod': [
    { annotations: { [services]: 'payments' }, services: new Map([['payments', { selector: {} }]]) },
    'wait ServiceDoesNotSelectPod',
  ],
  'an unknown key is denied': [{ annotations: { 'example.com/names': 'x' } }, 'deny InvalidUnverifiedUserAnnotations'],
  'an unknown key with our prefix is denied': [
    { annotations: { 'mtls-operator.io/uris': 'spiffe://a/b' } },
    'deny InvalidUnverifiedUserAnnotations',
  ],
  'the name of an object property is an unknown key': [
    { annotations: { constructor: 'x' } },
    'deny InvalidUnverifiedUserAnnotations',
  ],
  'a Service of another namespace is denied': [
    { annotations: { [services]: 'payments.other' } },
    'deny InvalidUnverifiedUserAnnotations',
  ],
  'an empty entry is denied': [{ annotations: { [services]: 'payments,' } }, 'deny InvalidUnverifiedUserAnnotations'],
  'an empty list requests nothing': [{ annotations: { [services]: ' ' } }, `issue ${id}`],
  'a DNS name that is an address is denied': [
    { annotations: { [dnsNames]: '10.0.0.1' } },
    'deny InvalidUnverifiedUserAnnotations',
  ],
  'too many Services are denied': [
    { annotations: { [services]: Array.from({ length: 17 }, (_, i) => `s${i}`).join() } },
    'deny InvalidUnverifiedUserAnnotations',
  ],
  'an invalid value is denied for a pod that runs, too': [
    { annotations: { [services]: '*' }, pod: { hasStarted: true } },
    'deny InvalidUnverifiedUserAnnotations',
  ],
  'a pod with another UID is denied': [{ pod: { uid: 'other' } }, 'deny PodMismatch'],
  'a pod with another ServiceAccount is denied': [{ pod: { serviceAccountName: 'default' } }, 'deny PodMismatch'],
  'a pod on another node is denied': [{ pod: { nodeName: 'n2' } }, 'deny PodMismatch'],
  'a pod on no node is denied': [{ pod: { nodeName: '' } }, 'deny PodMismatch'],
  'a pod that has ended is denied': [{ pod: { isFinished: true } }, 'deny PodFinished'],
  'a pod without the volume is denied': [{ pod: { sources: [] } }, 'deny VolumeMismatch'],
  'a pod whose volumes have other annotations is denied': [
    { pod: { sources: [{ annotations: {}, digest: 'other' }] } },
    'deny VolumeMismatch',
  ],
  'a key of a type that the authority excludes is denied': [
    { key: { kind: 'RSA-3072' }, podCertificates: { keyTypes: ['ED25519'] } },
    'deny UnsupportedKeyType',
  ],
  'a key of a kind that Kubernetes does not know is denied': [{ key: { kind: 'RSA-2048' } }, 'deny UnsupportedKeyType'],
  'a key that no certificate may have is denied': [{ key: { problem: 'no key' } }, 'deny UnsupportedKeyType'],
  'a pod that runs waits for a withdrawn type of key': [
    { key: { kind: 'RSA-3072' }, podCertificates: { keyTypes: ['ED25519'] }, pod: { hasStarted: true } },
    'wait UnsupportedKeyType',
  ],
  'a namespace that podCertificates does not select is denied': [
    { podCertificates: { namespaceSelector: selecting } },
    'deny NamespaceNotSelected',
  ],
  'a namespace that issuance does not select is denied': [
    { issuance: { namespaceSelector: selecting } },
    'deny NamespaceNotSelected',
  ],
  'a pod that runs waits when its namespace is not selected any more': [
    { issuance: { namespaceSelector: selecting }, pod: { hasStarted: true } },
    'wait NamespaceNotSelected',
  ],
  'a namespace that is not cached yet is awaited': [{ namespace: undefined }, 'wait Pending'],
  'a selector waits for labels that are forbidden': [
    { namespace: { name: 'shop', terminating: false }, podCertificates: { namespaceSelector: selecting } },
    'wait Forbidden',
  ],
  'a name that a grant may allow waits for labels that are forbidden': [
    { namespace: { name: 'shop', terminating: false }, annotations: { [dnsNames]: 'www.example.com' } },
    'wait Forbidden',
  ],
  'own names do not depend on labels': [{ namespace: { name: 'shop', terminating: false } }, `issue ${id}`],
  'a root that was not read yet is awaited': [{ authority: { state: 'unknown' } }, 'wait Pending'],
  'a bad root is awaited': [{ authority: notReady('RootExpired', 'expired') }, 'wait AuthorityNotReady'],
  'a root that may not sign yet is awaited': [
    { authority: { ...ready(issuer), issuancePaused: { reason: 'RootDistributing', message: 'wait' } } },
    'wait AuthorityNotReady',
  ],
  'a forged request is denied while the root is bad': [
    { authority: notReady('RootExpired', 'expired'), pod: { uid: 'other' } },
    'deny PodMismatch',
  ],
  'a longest duration below an hour is awaited': [{ issuance: { maxDuration: '30m' } }, 'wait LifetimeTooShort'],
};

describe('the answer to a request', () => {
  for (const [title, [parts, expected]] of Object.entries(table))
    test(title, () => assert.equal(outcome(parts), expected));

  test('a pod that does not exist is denied', () => {
    const planned = planPodCertificate({ ...observed(), pod: undefined }, now);
    assert.ok(planned.step === 'deny' && planned.reason === 'PodMismatch');
  });

  test('only a denial that an administrator can lift depends on caches', () => {
    const dependsOnCaches = (parts: Parts): boolean => {
      const planned = plan(parts);
      assert.ok(planned.step === 'deny');
      return planned.dependsOnCaches;
    };
    assert.ok(dependsOnCaches({ issuance: { namespaceSelector: selecting } }));
    assert.ok(dependsOnCaches({ annotations: { [dnsNames]: 'www.example.com' } }));
    assert.ok(dependsOnCaches({ podCertificates: { keyTypes: ['ED25519'] } }));
    assert.ok(!dependsOnCaches({ pod: { uid: 'other' } }));
    assert.ok(!dependsOnCaches({ annotations: { other: '' } }));
  });

  for (const [title, parts, expected] of [
    [
      'a Service that does not exist',
      { annotations: { [services]: 'payments' }, services: new Map() },
      'Service payments does not exist; create it, or correct mtls-operator.io/services in the volume of the pod',
    ],
    [
      'a Service that does not select the pod',
      { annotations: { [services]: 'payments' }, services: new Map([['payments', {}]]) },
      'Service payments does not select the pod; correct its selector or the labels of the pod, or correct mtls-operator.io/services in the volume of the pod',
    ],
    [
      'a Service with a namespace',
      { annotations: { [services]: 'payments.shop' } },
      'mtls-operator.io/services: "payments.shop" is not the name of a Service; write the name without its namespace',
    ],
    [
      'a DNS name that is not valid',
      { annotations: { [dnsNames]: 'a..b' } },
      'mtls-operator.io/dns-names: "a..b" is not a DNS name',
    ],
    [
      'a range of addresses',
      { annotations: { [ipAddresses]: '10.0.0.0/24' } },
      'mtls-operator.io/ip-addresses: "10.0.0.0/24" is not an IP address',
    ],
    [
      'an empty entry',
      { annotations: { [services]: 'payments,' } },
      'mtls-operator.io/services has an empty entry; remove the comma',
    ],
    [
      'DNS names without a grant, each of them once',
      { annotations: { [dnsNames]: 'a.example.com,b.example.com' } },
      'no entry of issuance.allow of MtlsAuthority default grants the DNS names "a.example.com", "b.example.com" in mtls-operator.io/dns-names; list a Service that selects the pod in mtls-operator.io/services instead, or ask an administrator for a grant',
    ],
  ] as const satisfies readonly (readonly [string, Parts, string])[])
    test(`the message names ${title}, and what to do`, () => {
      const planned = plan(parts);
      assert.equal('message' in planned ? planned.message : undefined, expected);
    });

  test('a message has at most 1,000 characters', () => {
    const many = Array.from({ length: 100 }, (_, i) => `${'x'.repeat(60)}${i}.example.com`).join();
    for (const parts of [
      { annotations: { [dnsNames]: many } },
      { annotations: { ['k'.repeat(5000)]: '' } },
      { annotations: { [services]: 'y'.repeat(5000) } },
    ]) {
      const planned = plan(parts);
      assert.ok(planned.step === 'deny');
      assert.ok(planned.message.length <= 1000, planned.message);
    }
  });
});

describe('the validity of a certificate', () => {
  const validity = (parts: Parts) => {
    const planned = plan(parts);
    assert.ok(planned.step === 'issue', JSON.stringify(planned));
    return planned.validity;
  };
  const notBefore = new Date('2026-06-01T11:57:30Z');
  const after = (ms: number): Date => new Date(notBefore.getTime() + ms);
  const lasts = (parts: Parts, ms: number): void => {
    const { notAfter, beginRefreshAt, ...rest } = validity(parts);
    assert.deepEqual(rest, { notBefore });
    assert.deepEqual(notAfter, after(ms));
    assert.deepEqual(beginRefreshAt, after(ms / 2));
  };

  test('begins two and a half minutes before now, lasts exactly as long as requested, and is renewed after half of it', () => {
    lasts({}, hours(24));
    lasts({ request: { maxExpirationMs: hours(1) } }, hours(1));
  });

  test('is at most what podCertificates and issuance allow', () => {
    const week = { request: { maxExpirationMs: hours(168) } };
    lasts({ ...week, podCertificates: { maxDuration: '72h' } }, hours(72));
    lasts({ ...week, podCertificates: { maxDuration: '72h' }, issuance: { maxDuration: '2h' } }, hours(2));
  });

  test('ends with the root, and a root with less than an hour signs nothing', () => {
    const expiring = (ms: number): Parts => {
      const authority = recordedReady();
      const notAfter = new Date(now.getTime() + ms);
      return { authority: { ...authority, anchor: { ...authority.anchor, notAfter } } };
    };
    const { notAfter } = validity(expiring(hours(2)));
    assert.deepEqual(notAfter, new Date('2026-06-01T14:00:00Z'));
    assert.equal(outcome(expiring(minutes(57))), 'wait RootExpiresSoon');
    assert.match(outcome(expiring(minutes(58))), /^issue/);
  });
});

describe('a certificate is signed only within the record of the root Secret', () => {
  const notAfter = new Date('2026-06-02T11:57:30Z');
  const withRecord = (podLeaves: ReturnType<typeof recorded> | undefined) =>
    plan({ authority: { ...ready(issuer), ...(podLeaves === undefined ? {} : { podLeaves }) } });

  test('so a request waits until its time is recorded', () => {
    const awaited = { step: 'record', anchorId: anchorId(issuer.anchor), notAfter };
    assert.deepEqual(withRecord(undefined), awaited);
    assert.deepEqual(withRecord(recorded(new Date(notAfter.getTime() - 1))), awaited);
    assert.deepEqual(withRecord({ roots: new Map([['another root', notAfter]]), issuers: new Map() }), awaited);
    assert.equal(withRecord(recorded(notAfter)).step, 'issue');
  });

  test('and a request that is denied or waits for something else records nothing', () => {
    const authority = ready(issuer);
    assert.equal(outcome({ authority, annotations: { [dnsNames]: 'www.example.com' } }), 'deny NamesDenied');
    assert.equal(
      outcome({ authority, annotations: { [services]: 'payments' }, services: new Map() }),
      'wait ServiceNotFound',
    );
  });
});

test('while a rotation runs, a certificate lasts no longer than the rotation allows', () => {
  const planned = plan({ authority: { ...recordedReady(), longestPodLifetimeMs: hours(1) } });
  assert.ok(planned.step === 'issue');
  assert.equal(planned.validity.notAfter.getTime() - planned.validity.notBefore.getTime(), hours(1));
});

describe('a request that waits is planned again', () => {
  const delay = (waitedMs: number, waiting: number): number =>
    retryTime(new Date(now.getTime() - waitedMs), waiting, now).getTime() - now.getTime();

  test('when it has waited for half as long again, after a second at least and two minutes at most', () => {
    assert.deepEqual(
      [-5000, 0, 10_000, hours(1)].map((waited) => delay(waited, 1)),
      [1000, 1000, 5000, 120_000],
    );
  });

  test('later when many of its namespace wait', () => {
    assert.equal(delay(0, 10_000), 500_000);
  });
});
