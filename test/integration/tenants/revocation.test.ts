import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { paths, type Secret } from '../../support/behaviours/api.ts';
import { type Installation, install, operatorNamespace, type Tenant } from '../../support/behaviours/installation.ts';
import { eventually } from '../../support/eventually.ts';
import {
  askToRevoke,
  crlsInConfigMap,
  crlsInRootSecret,
  revocationIsHandled,
  revoke,
  serialsOf,
  serialsOn,
} from '../../support/revocation/revoking.ts';

let world: Installation;
before(async () => {
  world = await install(['--workers=4']);
  await world.start();
});
after(() => world.end());

const rootSecret = (name: string): string => paths.secrets(operatorNamespace, name);

/** An authority that publishes a ConfigMap `trust-NAME` in every namespace that is labelled with its name, and in the operator's. */
async function authority(name: string, spec: object = {}): Promise<void> {
  const trusts = { 'example.com/trusts': name };
  await world.createAuthority(name, {
    secretName: name,
    root: {},
    trustBundle: { configMap: { name: `trust-${name}`, namespaceSelector: { matchLabels: trusts } } },
    ...spec,
  });
  await trusting(operatorNamespace, name);
}

const trusting = (namespace: string, name: string): Promise<unknown> =>
  world.api.patch(paths.namespaces(namespace), { metadata: { labels: { 'example.com/trusts': name } } });

/** A Ready server of an authority, in a namespace of its own. */
async function serverOf(name: string, prefix = 'victim'): Promise<Tenant> {
  const tenant = await world.tenant(prefix);
  await tenant.create('db', { authorityRef: { name }, server: { service: 'db' } });
  await tenant.ready('db');
  return tenant;
}

const listed = async (name: string): Promise<readonly string[]> => serialsOn(await crlsInRootSecret(world.api, name));

describe('a restored CRL', () => {
  // Broken if it fails: whoever may write ConfigMaps in a namespace of theirs decides what the operator finds of its CRLs,
  // and a thief's certificate is accepted again.
  test('comes from the operator’s namespace, whatever ConfigMaps another namespace shows', async () => {
    await authority('restored');
    const { uid } = (await world.authority('restored')).metadata;
    const victim = await serverOf('restored');
    const { data: backup } = await world.api.get<Secret>(rootSecret('restored'));
    const { server: serial = '' } = await serialsOf(victim, 'db');
    await revoke(victim, 'db', 'incident-1');
    await eventually(async () => {
      assert.deepEqual(serialsOn(await crlsInConfigMap(world.api, operatorNamespace, 'trust-restored')), [serial]);
    });
    const attacker = await world.tenant('aaa');
    await world.restart(async () => {
      for (let i = 0; i < 10; i += 1) {
        const forged = {
          name: `forged-${i}`,
          namespace: attacker.namespace,
          labels: { 'app.kubernetes.io/managed-by': 'mtls-operator', 'mtls-operator.io/authority': 'restored' },
          ownerReferences: [
            { apiVersion: 'mtls-operator.io/v1alpha1', kind: 'MtlsAuthority', name: 'restored', uid, controller: true },
          ],
        };
        await world.api.create(paths.configMaps(attacker.namespace), { metadata: forged, data: { 'ca.crl': '' } });
      }
      await world.api.patch(rootSecret('restored'), { data: backup });
    });
    // The list of the backup is valid: only its number and entries tell that it is old.
    await eventually(async () => assert.deepEqual(await listed('restored'), [serial]));
  });
});

describe('the notes on a Secret', () => {
  const note = (verb: 'revoke' | 'rotate', token: string) => ({
    metadata: { annotations: { [`mtls-operator.io/${verb}`]: token } },
  });

  // Broken if it fails: a person who waits for lastHandledRevoke believes that peers refuse a certificate that they accept.
  test('answer no request to revoke, whoever has written them before it is made', async () => {
    await authority('noted');
    const victim = await serverOf('noted');
    const { server: serial = '' } = await serialsOf(victim, 'db');
    await victim.patchSecret('db-server-tls', note('revoke', 'incident-7'));
    await revoke(victim, 'db', 'incident-7');
    assert.deepEqual(await listed('noted'), [serial]);
    assert.notEqual((await serialsOf(victim, 'db'))['server'], serial);
  });

  test('answer no request to revoke while what they are written next to is that of another resource', async () => {
    await authority('swapped');
    const victim = await serverOf('swapped');
    const { server: serial = '' } = await serialsOf(victim, 'db');
    // Another certificate of the authority, which its owner may put there, with a note that answers the request to come.
    await victim.create('twin', { authorityRef: { name: 'swapped' }, server: { service: 'db' } });
    await victim.ready('twin');
    const { data } = await victim.secret('twin-server-tls');
    await askToRevoke(victim, 'db', 'incident-8');
    await victim.patchSecret('db-server-tls', { ...note('revoke', 'incident-8'), data });
    await revocationIsHandled(victim, 'db', 'incident-8');
    assert.ok((await listed('swapped')).includes(serial));
  });

  test('answer no request to rotate', async () => {
    await authority('rotated');
    const victim = await serverOf('rotated');
    const { server: serial = '' } = await serialsOf(victim, 'db');
    await victim.patchSecret('db-server-tls', note('rotate', 'in-a-hurry'));
    await victim.rotate('db', 'in-a-hurry');
    await victim.ready('db');
    assert.notEqual((await serialsOf(victim, 'db'))['server'], serial);
  });
});
