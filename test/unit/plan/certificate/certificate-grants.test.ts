import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  isAwaitingCaches,
  issuancePolicy,
  type ObservedCertificate,
  planCertificate,
} from '../../../../src/plan/index.ts';
import { grantingRules } from '../../../support/fixtures/authority.ts';
import { requestOf } from '../../../support/fixtures/certificate.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { days, now } from '../../../support/fixtures/times.ts';
import { blocked, changed, create, deniedName, issue, keep, messages, stays } from './certificate-steps.ts';
import { authority, check, fresh, signer } from './certificate-table.ts';

describe('a plan waits for the caches', () => {
  const observed = fresh.observed(authority);
  const password = { keystorePassword: { state: 'unknown' } } as const;
  const cases: readonly [what: string, observed: ObservedCertificate, isWaiting: boolean][] = [
    ['not when everything is known', observed, false],
    ['while the Secrets of the namespace are not listed', { ...observed, secretsAccess: 'unknown' }, true],
    ['while the passwords are not listed', { ...observed, ...password }, true],
    ['not for passwords that it may not list', { ...observed, ...password, secretsAccess: 'forbidden' }, false],
  ];
  for (const [what, given, isWaiting] of cases) {
    test(what, () => {
      assert.equal(isAwaitingCaches(given), isWaiting);
      assert.equal(planCertificate(given, now).secrets.length === 0, isWaiting);
    });
  }
});

describe('a certificate with a granted name', () => {
  const granting = { ...authority, ...grantingRules };
  const asked = fresh.asking({ server: { service: 'payments', dnsNames: ['www.example.com'] } });
  const message = deniedName('www.example.com');
  const toEdge = { namespaceSelector: { matchLabels: { team: 'edge' } }, dnsNames: ['*.example.com', 'payments'] };
  const forEdge = { ...authority, issuance: issuancePolicy({ allow: [toEdge] }) };
  const { server: _, ...spec } = fresh.record.spec;
  const peer = fresh.with({ spec: { ...spec, peer: { service: 'payments' } } }).whereNamespaceHas({ team: 'edge' });
  const requestOfPeer = (bare: readonly string[]) => {
    const request = requestOf(peer.record, 'peer');
    const names = { ...request.profile.names, dnsNames: [...bare, ...request.profile.names.dnsNames] };
    return { ...request, profile: { ...request.profile, names } };
  };
  const unsure = blocked(
    'Pending',
    'the operator has not read namespace shop yet; its labels decide which names it may have',
  );
  const forbidden = (...denied: readonly string[]) =>
    blocked(
      'NamespaceUnreadable',
      [
        'the operator may not read namespace shop, whose labels may allow more',
        'grant the operator list and watch on namespaces with the resourceNames shop',
        ...denied,
      ].join('; '),
    );
  const withdrawn = { under: authority, plan: [blocked('Denied', message + stays)] };
  const until = (said: string) => ({ under: authority, plan: [blocked('Denied', message + said)] });
  check({
    'is issued': { given: asked, under: granting, plan: [create(asked)] },
    'is kept': { given: asked.issuedBy(signer), under: granting, plan: [keep] },
    'is not issued again after the grant was withdrawn': { ...withdrawn, given: asked.issuedBy(signer) },
    'is not renewed after the grant was withdrawn': {
      ...until(stays.replace('05-30', '03-02')),
      given: asked.issuedBy(signer).expiringIn(days(1)),
    },
    'is not replaced after it expired and the grant was withdrawn': {
      ...until('; the certificate in Secret payments-server-tls has expired'),
      given: asked.issuedBy(signer).expiringIn(0),
    },
    'is not reported as valid after the grant was withdrawn when no trusted root issued it': {
      given: asked.issuedBy(root({ name: 'Stranger' })),
      plan: [
        {
          step: 'update',
          metadata: { labels: {}, annotations: {} },
          blocked: { step: 'blocked', reason: 'Denied', message, canWait: false },
        },
      ],
    },
    'is not rotated after the grant was withdrawn': { ...withdrawn, given: asked.issuedBy(signer).rotating('a') },
    'is not repaired after the grant was withdrawn': {
      ...until(''),
      given: asked.issuedBy(signer).withoutSecret('server'),
    },
    'acts on a pending token when the name is granted again': {
      given: asked.issuedBy(signer).rotating('a'),
      under: granting,
      plan: [issue(asked, 'RotationRequested', messages.RotationRequested, { token: 'a' })],
    },
    'is issued in a namespace with the label of the grant': {
      given: asked.whereNamespaceHas({ team: 'edge' }),
      under: forEdge,
      plan: [create(asked)],
    },
    'is denied in a namespace without the label of the grant': {
      given: asked.whereNamespaceHas({ team: 'core' }),
      under: forEdge,
      plan: [blocked('Denied', message)],
    },
    'waits for the labels of a namespace that has not been read': {
      given: asked.whereNamespaceHas(null),
      under: forEdge,
      plan: [unsure],
    },
    'is refused, with the missing right, in a namespace whose labels the operator may not read': {
      given: asked.whereForbidden('labels'),
      under: forEdge,
      plan: [forbidden(message)],
    },
    'is refused for a peer whose bare name the labels may grant, which the operator may not read': {
      given: peer.whereForbidden('labels'),
      under: forEdge,
      plan: [forbidden()],
    },
    'needs no labels that the operator may not read when all namespaces have the grant': {
      given: asked.whereForbidden('labels'),
      under: granting,
      plan: [create(asked)],
    },
    'needs no labels that the operator may not read when it has own names only': {
      given: fresh.whereForbidden('labels'),
      under: forEdge,
      plan: [create(fresh)],
    },
    'is neither issued nor repaired while the operator may not read the Secrets of the namespace': {
      given: fresh.whereForbidden('secrets'),
      plan: [
        blocked(
          'NamespaceUnreadable',
          'the operator may not read the Secrets in namespace shop; create the Role and RoleBinding of the operator in shop (chart: watchNamespaces), or take the namespace out of --watch-namespaces',
        ),
      ],
    },
    'does not wait for labels when all namespaces have the grant': {
      given: asked.whereNamespaceHas(null),
      under: granting,
      plan: [create(asked)],
    },
    'has the bare Service name of a peer when it is granted': {
      given: peer,
      under: forEdge,
      plan: [{ ...create(peer, { role: 'peer' }), request: requestOfPeer(['payments']) }],
    },
    'is issued again when the bare Service name of a peer is granted': {
      given: peer.issuedBy(signer),
      under: forEdge,
      plan: [
        { ...issue(peer, 'SpecChanged', changed.profile, { role: 'peer' }), request: requestOfPeer(['payments']) },
      ],
    },
    'lacks the bare Service name of a peer in another namespace': {
      given: peer.whereNamespaceHas({}),
      under: forEdge,
      plan: [{ ...create(peer, { role: 'peer' }), request: requestOfPeer([]) }],
    },
    'waits for the labels of a namespace that may grant the bare Service name of a peer': {
      given: peer.whereNamespaceHas(null),
      under: forEdge,
      plan: [unsure],
    },
    'stays until the labels are known that may grant the bare Service name of a peer': {
      given: peer.issuedBy(signer).whereNamespaceHas(null),
      under: forEdge,
      plan: [unsure],
    },
    'does not make a peer wait for labels when only other names are granted': {
      given: peer.whereNamespaceHas(null),
      under: { ...authority, issuance: issuancePolicy({ allow: [{ ...toEdge, dnsNames: ['db'] }] }) },
      plan: [create(peer, { role: 'peer' })],
    },
    'needs no labels when it has own names only': {
      given: fresh.whereNamespaceHas(null),
      under: forEdge,
      plan: [create(fresh)],
    },
  });
});
