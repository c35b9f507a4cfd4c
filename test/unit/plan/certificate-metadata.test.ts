import { describe } from 'node:test';
import { annotations, labels } from '../../../src/api/names.ts';
import { withMarks } from '../../support/fixtures.ts';
import { check, fresh, issued, keep, signer, update } from './certificate-table.ts';

describe('labels and annotations', () => {
  const template = { labels: { team: 'a' }, annotations: { 'example.com/note': 'b' } };
  const listed = { [annotations.template]: JSON.stringify({ labels: ['team'], annotations: ['example.com/note'] }) };
  const withTemplate = { labels: template.labels, annotations: { ...template.annotations, ...listed } };
  const templated = fresh.asking({ secretTemplate: template }).issuedBy(signer);
  const spec = (secretTemplate: NonNullable<typeof fresh.record.spec.secretTemplate>) =>
    templated.asking({ secretTemplate });
  const tampered = (kind: 'labels' | 'annotations', change: Record<string, string | undefined>, given = issued) =>
    given.whereSecret('server', withMarks(kind, change));
  check({
    'of the template are put on': { given: issued.asking({ secretTemplate: template }), plan: [update(withTemplate)] },
    'of the template are there': { given: templated, plan: [keep] },
    'of the template are put back when they were changed': {
      given: tampered('labels', { team: 'x' }, templated),
      plan: [update(withTemplate)],
    },
    'of the template are put back when they were taken off': {
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
    'of a template that is gone are taken off': {
      given: spec({}),
      plan: [
        update({ labels: { team: null }, annotations: { 'example.com/note': null, [annotations.template]: null } }),
      ],
    },
    'of the operator are put back when they were taken off': {
      given: tampered('labels', { [labels.role]: undefined }),
      plan: [update()],
    },
    'of the operator are put back when they were changed': {
      given: tampered('labels', { [labels.certificate]: 'x' }),
      plan: [update()],
    },
    'of kubernetes.io are not taken off, whatever the note of the template says': {
      given: tampered('annotations', {
        [annotations.template]: JSON.stringify({
          labels: ['app.kubernetes.io/managed-by', 'x.k8s.io/y', 'mine'],
          annotations: ['mtls-operator.io/rotate', 'kubectl.kubernetes.io/last-applied-configuration'],
        }),
      }),
      plan: [update({ labels: { mine: null } })],
    },
    'are judged without a note of the template that cannot be read': {
      given: tampered('annotations', { [annotations.template]: '{"labels":[1,null,{}],"annotations":5}' }),
      plan: [update()],
    },
    'called like what every object has are labels like others': {
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
      [`count from the start when the revision says ${JSON.stringify(text)}`]: {
        given: tampered('annotations', { [annotations.revision]: text }),
        plan: [update()],
      },
    });
  }
});
