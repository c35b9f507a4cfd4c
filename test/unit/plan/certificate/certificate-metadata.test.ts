import { describe } from 'node:test';
import { annotations, labels } from '../../../../src/api/constants.ts';
import { withMarks } from '../../../support/fixtures/secret.ts';
import { keep, update } from './certificate-steps.ts';
import { check, fresh, issued, signer } from './certificate-table.ts';

describe('labels and annotations', () => {
  const template = { labels: { team: 'a' }, annotations: { 'example.com/note': 'b' } };
  const listed = { [annotations.template]: JSON.stringify({ labels: ['team'], annotations: ['example.com/note'] }) };
  const withTemplate = { labels: template.labels, annotations: { ...template.annotations, ...listed } };
  const templated = fresh.asking({ secretTemplate: template }).issuedBy(signer);
  const spec = (secretTemplate: NonNullable<typeof fresh.record.spec.secretTemplate>) =>
    templated.asking({ secretTemplate });
  const noteOf = (keys: readonly string[]) => ({
    [annotations.template]: JSON.stringify({ labels: [...keys].sort(), annotations: [] }),
  });
  const recommended = {
    'app.kubernetes.io/name': 'payments',
    'app.kubernetes.io/instance': 'payments-1',
    'app.kubernetes.io/version': '1.2.3',
    'app.kubernetes.io/component': 'api',
    'app.kubernetes.io/part-of': 'shop',
  };
  const reserved = {
    labels: { 'app.kubernetes.io/managed-by': 'me', 'kubernetes.io/a': 'b', 'x.app.kubernetes.io/name': 'c' },
    annotations: { [annotations.revoke]: 'd', 'x.k8s.io/y': 'e', [annotations.template]: 'f' },
  };
  const tampered = (kind: 'labels' | 'annotations', change: Record<string, string | undefined>, given = issued) =>
    given.whereSecret('server', withMarks(kind, change));
  check({
    'of the template are added': { given: issued.asking({ secretTemplate: template }), plan: [update(withTemplate)] },
    'of the template cause no write when present': { given: templated, plan: [keep] },
    'of the template are restored after a change': {
      given: tampered('labels', { team: 'x' }, templated),
      plan: [update(withTemplate)],
    },
    'of the template are restored after a removal': {
      given: tampered('annotations', { 'example.com/note': undefined }, templated),
      plan: [update(withTemplate)],
    },
    'follow the template when it changes': {
      given: spec({ labels: { team: 'b' } }),
      plan: [
        update({
          labels: { team: 'b' },
          annotations: {
            'example.com/note': null,
            [annotations.template]: JSON.stringify({ labels: ['team'], annotations: [] }),
          },
        }),
      ],
    },
    'of a removed template are removed': {
      given: spec({}),
      plan: [
        update({ labels: { team: null }, annotations: { 'example.com/note': null, [annotations.template]: null } }),
      ],
    },
    'of the operator are restored after a removal': {
      given: tampered('labels', { [labels.role]: undefined }),
      plan: [update()],
    },
    'of the operator are restored after a change': {
      given: tampered('labels', { [labels.certificate]: 'x' }),
      plan: [update()],
    },
    'of kubernetes.io are not removed, even if the annotation template lists them': {
      given: tampered('annotations', {
        [annotations.template]: JSON.stringify({
          labels: ['app.kubernetes.io/managed-by', 'x.k8s.io/y', 'mine', 'app.kubernetes.io/name'],
          annotations: ['mtls-operator.io/rotate', 'kubectl.kubernetes.io/last-applied-configuration'],
        }),
      }),
      plan: [update({ labels: { mine: null, 'app.kubernetes.io/name': null } })],
    },
    'that Kubernetes recommends are added': {
      given: issued.asking({ secretTemplate: { labels: recommended } }),
      plan: [update({ labels: recommended, annotations: noteOf(Object.keys(recommended)) })],
    },
    'that Kubernetes recommends are removed with the template': {
      given: fresh
        .asking({ secretTemplate: { labels: recommended } })
        .issuedBy(signer)
        .asking({ secretTemplate: {} }),
      plan: [
        update({
          labels: Object.fromEntries(Object.keys(recommended).map((key) => [key, null])),
          annotations: { [annotations.template]: null },
        }),
      ],
    },
    'that are reserved are not added from a template that is older than its schema': {
      given: issued.asking({ secretTemplate: reserved }),
      plan: [keep],
    },
    'are compared without the annotation template when that is not valid': {
      given: tampered('annotations', { [annotations.template]: '{"labels":[1,null,{}],"annotations":5}' }),
      plan: [update()],
    },
    'may have the name of a property of every object': {
      given: fresh
        .asking({ secretTemplate: { labels: { constructor: 'x' } } })
        .issuedBy(signer)
        .asking({ secretTemplate: {} })
        .whereSecret('server', withMarks('labels', { constructor: undefined }))
        .whereSecret('server', withMarks('annotations', { [annotations.template]: undefined })),
      plan: [keep],
    },
  });

  for (const text of ['0', '-3', '1.5', '1e3', '0x10', 'x', '', 'Infinity', '99999999999999999999']) {
    check({
      [`start again at revision 1 when the annotation revision is ${JSON.stringify(text)}`]: {
        given: tampered('annotations', { [annotations.revision]: text }),
        plan: [update()],
      },
    });
  }
});
