import { describe } from 'node:test';
import { issuancePolicy } from '../../../../src/plan/index.ts';
import { grantingRules } from '../../../support/fixtures/authority.ts';
import { requestOf } from '../../../support/fixtures/certificate.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { days } from '../../../support/fixtures/times.ts';
import { blocked, changed, create, deniedName, issue, keep, messages, stays } from './certificate-steps.ts';
import { authority, check, fresh, signer } from './certificate-table.ts';

describe('what an authority grants', () => {
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
  const withdrawn = { under: authority, plan: [blocked('Denied', message + stays)] };
  const until = (said: string) => ({ under: authority, plan: [blocked('Denied', message + said)] });
  check({
    'is issued': { given: asked, under: granting, plan: [create(asked)] },
    'is kept': { given: asked.issuedBy(signer), under: granting, plan: [keep] },
    'and no longer grants is not issued again': { ...withdrawn, given: asked.issuedBy(signer) },
    'and no longer grants is not renewed': {
      ...until(stays.replace('05-30', '03-02')),
      given: asked.issuedBy(signer).expiringIn(days(1)),
    },
    'and no longer grants is not replaced when it has expired': {
      ...until('; the certificate in Secret payments-server-tls has expired'),
      given: asked.issuedBy(signer).expiringIn(0),
    },
    'and no longer grants is not said to work when no root that is trusted has signed it': {
      given: asked.issuedBy(root({ name: 'Stranger' })),
      plan: [
        {
          step: 'update',
          metadata: { labels: {}, annotations: {} },
          blocked: { step: 'blocked', reason: 'Denied', message, canWait: false },
        },
      ],
    },
    'and no longer grants is not rotated': { ...withdrawn, given: asked.issuedBy(signer).rotating('a') },
    'and no longer grants is not repaired': { ...until(''), given: asked.issuedBy(signer).withoutSecret('server') },
    'and grants again acts on the token that has waited': {
      given: asked.issuedBy(signer).rotating('a'),
      under: granting,
      plan: [issue(asked, 'RotationRequested', messages.RotationRequested, { token: 'a' })],
    },
    'to the namespaces with a label is for them': {
      given: asked.whereNamespaceHas({ team: 'edge' }),
      under: forEdge,
      plan: [create(asked)],
    },
    'to the namespaces with a label is not for others': {
      given: asked.whereNamespaceHas({ team: 'core' }),
      under: forEdge,
      plan: [blocked('Denied', message)],
    },
    'to the namespaces with a label waits for a namespace that has not been seen': {
      given: asked.whereNamespaceHas(null),
      under: forEdge,
      plan: [unsure],
    },
    'to all namespaces does not': { given: asked.whereNamespaceHas(null), under: granting, plan: [create(asked)] },
    'of the bare name of a Service is in the certificate of a peer': {
      given: peer,
      under: forEdge,
      plan: [{ ...create(peer, { role: 'peer' }), request: requestOfPeer(['payments']) }],
    },
    'of the bare name of a Service re-issues the certificate of a peer': {
      given: peer.issuedBy(signer),
      under: forEdge,
      plan: [
        { ...issue(peer, 'SpecChanged', changed.profile, { role: 'peer' }), request: requestOfPeer(['payments']) },
      ],
    },
    'of the bare name of a Service is not in the certificate of a peer elsewhere': {
      given: peer.whereNamespaceHas({}),
      under: forEdge,
      plan: [{ ...create(peer, { role: 'peer' }), request: requestOfPeer([]) }],
    },
    'of the bare name of a Service waits for the labels of a namespace': {
      given: peer.whereNamespaceHas(null),
      under: forEdge,
      plan: [unsure],
    },
    'of the bare name of a Service keeps a Secret as it is until the labels are known': {
      given: peer.issuedBy(signer).whereNamespaceHas(null),
      under: forEdge,
      plan: [unsure],
    },
    'of other names keeps no peer waiting': {
      given: peer.whereNamespaceHas(null),
      under: { ...authority, issuance: issuancePolicy({ allow: [{ ...toEdge, dnsNames: ['db'] }] }) },
      plan: [create(peer, { role: 'peer' })],
    },
    'needs no label for own names': { given: fresh.whereNamespaceHas(null), under: forEdge, plan: [create(fresh)] },
  });
});
