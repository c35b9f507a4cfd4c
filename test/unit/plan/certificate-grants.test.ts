import { describe } from 'node:test';
import { issuancePolicy } from '../../../src/plan/index.ts';
import { days, grantingRules } from '../../support/fixtures.ts';
import { authority, blocked, check, create, fresh, issue, keep, messages, signer } from './certificate-table.ts';

describe('what an authority grants', () => {
  const granting = { ...authority, ...grantingRules };
  const asked = fresh.asking({ server: { service: 'payments', dnsNames: ['www.example.com'] } });
  const message =
    'DNS name "www.example.com": namespace shop may have only names of its own Services (<service>.shop.svc[.cluster.local]) and those that issuance.allow of MtlsAuthority default grants it';
  const toEdge = { namespaceSelector: { matchLabels: { team: 'edge' } }, dnsNames: ['*.example.com'] };
  const forEdge = { ...authority, issuance: issuancePolicy({ allow: [toEdge] }) };
  const unsure = blocked('Pending', 'namespace shop has not been seen yet; its labels say what it may have');
  const withdrawn = { under: authority, plan: [blocked('Denied', message)] };
  check({
    'is issued': { given: asked, under: granting, plan: [create(asked)] },
    'is kept': { given: asked.issuedBy(signer), under: granting, plan: [keep] },
    'and no longer grants is not issued again': { ...withdrawn, given: asked.issuedBy(signer) },
    'and no longer grants is not renewed': { ...withdrawn, given: asked.issuedBy(signer).expiringIn(days(1)) },
    'and no longer grants is not replaced when it has expired': {
      ...withdrawn,
      given: asked.issuedBy(signer).expiringIn(0),
    },
    'and no longer grants is not rotated': { ...withdrawn, given: asked.issuedBy(signer).rotating('a') },
    'and no longer grants is not repaired': { ...withdrawn, given: asked.issuedBy(signer).withoutSecret('server') },
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
    'needs no label for own names': { given: fresh.whereNamespaceHas(null), under: forEdge, plan: [create(fresh)] },
  });
});
