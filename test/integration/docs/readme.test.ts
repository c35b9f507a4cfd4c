import assert from 'node:assert/strict';

import type { MtlsAuthority, MtlsCertificate } from '../../../src/api/types.ts';
import { paths } from '../../support/api.ts';
import { runPage } from '../../support/docs/run-page.ts';
import { eventually } from '../../support/eventually.ts';
import { installation } from '../../support/installation.ts';

const world = installation({ operator: false, manifests: false });

runPage('README.md', world, {
  notRun: {
    'npm run demo': 'test/e2e/demo.test.ts runs it',
    'npm test': 'it runs this test',
    'docker build': 'needs Docker and a registry; test/unit/image.test.ts checks the Dockerfile',
  },
  // The operator of a test is no pod.
  instead: { 'rollout status': () => world.start() },
  after: {
    'Five things to do next': async () => {
      await eventually(async () => {
        const { status } = await world.api.get<MtlsCertificate>(paths.certificates('shop', 'payments'));
        assert.match(status?.lastHandledRotate ?? '', /^\d+$/);
        assert.match(status?.lastHandledRevoke ?? '', /^stolen-[0-9a-f]{8}$/);
      });
      await eventually(async () => {
        const { spec, status } = await world.api.get<MtlsAuthority>(paths.authorities('default'));
        assert.deepEqual(spec.issuance?.allow?.[0]?.dnsNames, ['*.example.com']);
        assert.equal(status?.crl?.revoked, 4, 'two Secrets had two certificates each');
        assert.equal(status?.rotation?.phase, 'Distributing');
      });
    },
  },
});
