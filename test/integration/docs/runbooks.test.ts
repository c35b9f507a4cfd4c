import assert from 'node:assert/strict';

import { keepContesting } from '../../support/contest.ts';
import { runPage } from '../../support/docs/run-page.ts';
import { eventually } from '../../support/eventually.ts';
import { installation } from '../../support/installation.ts';

const world = installation();

let endContest: () => Promise<void> = async () => undefined;

const noKubelet = 'there is no kubelet: the operator of a test is no pod';

runPage('docs/operations/runbooks.md', world, {
  async before({ run }) {
    await run('kubectl create namespace shop');
    const shop = world.tenantOf('shop');
    await shop.issue('payments', { server: { service: 'payments' }, client: { serviceAccount: 'checkout' } });
    await world.createAuthority('own', { secretName: 'own-root' });
    await world.authorityIs('own', 'False', 'RootMissing');
    await world.rotateRoot('default', 'runbooks');
    await eventually(async () =>
      assert.equal((await world.authority('default')).status?.rotation?.phase, 'Distributing'),
    );
    endContest = await keepContesting(shop, 'payments', 'payments-server-tls');
  },
  after: { MtlsSecretContested: () => endContest() },
  notRun: { ' logs ': noKubelet },
});
