import assert from 'node:assert/strict';

import { describe, test } from 'node:test';

import { operatorNamespace, paths, type Secret } from '../../support/api.ts';
import { digestOf, judge } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { installation, type Tenant } from '../../support/installation.ts';

const world = installation();

const named = (secretName: string): object => ({ server: { service: 'db', secretName } });
const secretName = 'mtls-operator.io/secret-name';

async function createSecret(tenant: Tenant, name: string, more: object = {}): Promise<Secret> {
  const metadata = { name, labels: { app: 'theirs' } };
  const data = { 'tls.crt': 'dGhlaXJz', 'tls.key': 'dGhlaXJz' };
  return world.api.create(paths.secrets(tenant.namespace), { metadata, type: 'kubernetes.io/tls', data, ...more });
}

/** Waits until a resource is Ready. It may take longer: the operator finds changes of foreign Secrets only by polling. */
async function readyAfterPoll(tenant: Tenant, name: string): Promise<void> {
  await eventually(
    async () => {
      const ready = (await tenant.get(name)).status?.conditions?.find(({ type }) => type === 'Ready');
      assert.equal(ready?.status, 'True', ready?.message ?? 'no condition Ready yet');
    },
    { timeoutMs: 90_000, message: `${name} has not recovered` },
  );
}

async function isGone(tenant: Tenant, name: string): Promise<void> {
  await eventually(async () => assert.ok((await tenant.findSecret(name)) === undefined, 'the Secret still exists'), {
    // The garbage collector discovers new kinds of owners every half minute.
    timeoutMs: 90_000,
    message: `Secret ${name} is not deleted`,
  });
}

describe('ownership', { concurrency: 6 }, () => {
  const foreign: Record<string, object> = {
    'of type kubernetes.io/tls': {},
    'of type Opaque': { type: 'Opaque' },
    'with the labels of the operator': {
      metadata: {
        name: 'requested',
        labels: {
          'app.kubernetes.io/managed-by': 'mtls-operator',
          'mtls-operator.io/certificate': 'db',
          'mtls-operator.io/role': 'server',
        },
      },
    },
  };
  for (const [what, more] of Object.entries(foreign)) {
    test(`5. Ownership: a foreign Secret ${what} stays byte-identical, and the operator creates its own when the foreign one is deleted (35 s: a foreign object is read every 30 s)`, async () => {
      const tenant = await world.tenant('ownership');
      const before = digestOf(await createSecret(tenant, 'requested', more));
      await tenant.create('db', named('requested'));
      const { message } = await tenant.notReady('db', 'SecretConflict');
      assert.match(message, /\brequested\b/);
      await tenant.rotate('db', 'please');
      await tenant.notReady('db', 'SecretConflict');
      assert.equal(digestOf(await tenant.secret('requested')), before);
      await world.api.delete(paths.secrets(tenant.namespace, 'requested'));
      await readyAfterPoll(tenant, 'db');
      await judge(await tenant.secret('requested'));
    });
  }

  test('5. Ownership: the command in the message of SecretConflict hands over a placeholder Secret, which the operator then fills', async () => {
    for (const placeholder of [{ type: 'Opaque', data: {} }, { data: { 'tls.crt': '', 'tls.key': '' } }]) {
      const tenant = await world.tenant('ownership');
      await createSecret(tenant, 'requested', placeholder);
      await tenant.create('db', named('requested'));
      const { message } = await tenant.notReady('db', 'SecretConflict');
      assert.ok(message.includes(`kubectl -n ${tenant.namespace} delete secret requested`), message);
      const [, patch] = /patch secret requested --type merge --patch '([^']+)'/.exec(message) ?? [];
      await tenant.patchSecret('requested', JSON.parse(patch ?? '') as object);
      await tenant.ready('db');
      const secret = await tenant.secret('requested');
      await judge(secret);
      assert.equal(secret.metadata.ownerReferences?.[0]?.name, 'db');
      await eventually(async () => assert.equal((await eventsOf(tenant, 'SecretAdopted')).length, 1));
      await eventually(async () =>
        assert.equal((await eventsOf(tenant, 'SecretDeleted')).length, 'type' in placeholder ? 1 : 0),
      );
    }
  });

  test('5. Ownership: a Secret restored from a backup without its owner is adopted byte-identical (25 s: it waits for the garbage collector)', async () => {
    const tenant = await world.tenantWith('restored', named('mine'));
    const { metadata, type, data } = await tenant.secret('mine');
    await tenant.delete('db');
    await isGone(tenant, 'mine');
    const { labels, annotations } = metadata;
    const restored = await createSecret(tenant, 'mine', {
      metadata: { name: 'mine', labels, annotations },
      type,
      data,
    });
    const again = await tenant.issue('db', named('mine'));
    const adopted = await tenant.secret('mine');
    assert.equal(adopted.metadata.uid, restored.metadata.uid);
    assert.deepEqual(
      adopted.metadata.ownerReferences?.map(({ uid }) => uid),
      [again.metadata.uid],
    );
    assert.ok(JSON.stringify(adopted.data) === JSON.stringify(data), 'the content of the Secret changed');
    await eventually(async () =>
      assert.deepEqual(await eventsOf(tenant, 'SecretAdopted', again.metadata.uid), [
        'Adopted Secret mine: it has no controller, and its labels and annotation name this resource',
      ]),
    );
  });

  test('5. Ownership: Secrets survive kubectl delete --cascade=orphan, and the resource with the same name adopts them (25 s: it waits for the garbage collector)', async () => {
    const tenant = await world.tenant('orphaned');
    const names = Array.from({ length: 8 }, (_, i) => `db-${i}`);
    for (const name of names) await tenant.create(name, { server: { service: 'db' } });
    for (const name of names) await tenant.ready(name);
    const before = await Promise.all(names.map((name) => tenant.secret(`${name}-server-tls`)));
    await Promise.all(
      names.map((name) => world.api.delete(`${paths.certificates(tenant.namespace, name)}?propagationPolicy=Orphan`)),
    );
    for (const name of names) {
      await eventually(async () =>
        assert.ok((await world.api.find(paths.certificates(tenant.namespace, name))) === undefined),
      );
    }
    for (const name of names) {
      assert.deepEqual((await tenant.secret(`${name}-server-tls`)).metadata.ownerReferences ?? [], [], name);
    }
    for (const name of names) await tenant.create(name, { server: { service: 'db' } });
    for (const [i, name] of names.entries()) {
      await tenant.ready(name);
      const { metadata, data } = await tenant.secret(`${name}-server-tls`);
      assert.equal(metadata.uid, before[i]?.metadata.uid);
      assert.ok(JSON.stringify(data) === JSON.stringify(before[i]?.data), 'the content of the Secret changed');
    }
  });

  test('5. Ownership: a copy of a Secret under another name is not deleted, even with the same labels and owner', async () => {
    const tenant = await world.tenantWith('copies', named('mine'));
    const { metadata, type, data } = await tenant.secret('mine');
    const { labels, annotations, ownerReferences } = metadata;
    const { [secretName]: _, ...unmarked } = annotations ?? {};
    const copies = [
      await createSecret(tenant, 'copy', {
        metadata: { name: 'copy', labels, annotations, ownerReferences },
        type,
        data,
      }),
      await createSecret(tenant, 'older-copy', {
        metadata: { name: 'older-copy', labels, annotations: unmarked, ownerReferences },
        type,
        data,
      }),
    ];
    await tenant.rotate('db', 'please');
    await tenant.ready('db');
    for (const copy of copies) assert.equal(digestOf(await tenant.secret(copy.metadata.name)), digestOf(copy));
  });

  test('5. Ownership: a Secret that no role names any more is deleted, with an event and a log line', async () => {
    const tenant = await world.tenantWith('prune', named('first'));
    // A Secret of an older version of the operator, which did not write the annotation. Status names it.
    await tenant.patchSecret('first', { metadata: { annotations: { [secretName]: null } } });
    await tenant.patch('db', { spec: named('second') });
    await isGone(tenant, 'first');
    await eventually(async () =>
      assert.deepEqual(await eventsOf(tenant, 'SecretDeleted'), [
        'Deleted Secret first because no role of the resource uses it',
      ]),
    );
    // The log is written in batches, so the line can come after the event.
    await eventually(() => {
      const lines = world.logs().filter(({ message }) => message === 'deleted a Secret');
      assert.ok(lines.some((line) => line['namespace'] === tenant.namespace && line['secret'] === 'first'));
    });
  });

  test('5. Ownership: a Secret of an older version without the annotation is deleted even if the deletion was blocked for a while', async () => {
    const tenant = await world.tenantWith('prune', named('first'));
    await tenant.patchSecret('first', { metadata: { annotations: { [secretName]: null } } });
    await createSecret(tenant, 'taken');
    await tenant.patch('db', { spec: named('taken') });
    await tenant.notReady('db', 'SecretConflict');
    assert.equal((await tenant.secret('first')).metadata.annotations?.[secretName], 'first');
    await tenant.patch('db', { spec: named('free') });
    await tenant.ready('db');
    await isGone(tenant, 'first');
  });

  test('5. Ownership: a Secret owned by another resource is not taken over', async () => {
    const tenant = await world.tenant('ownership');
    const ownerReferences = [
      {
        apiVersion: 'mtls-operator.io/v1alpha1',
        kind: 'MtlsCertificate',
        name: 'other',
        uid: (await createAnother(tenant)).metadata.uid,
        controller: true,
      },
    ];
    const secret = await createSecret(tenant, 'requested', { metadata: { name: 'requested', ownerReferences } });
    await tenant.create('db', named('requested'));
    await tenant.notReady('db', 'SecretConflict');
    assert.equal(digestOf(await tenant.secret('requested')), digestOf(secret));
  });

  test('5. Ownership: of three resources with one secretName exactly one is Ready, and all are Ready when the names differ', async () => {
    const tenant = await world.tenant('ownership');
    const names = ['a', 'b', 'c'];
    await Promise.all(names.map((name) => tenant.create(name, named('shared'))));
    const first = await eventually(async () => {
      const states = await Promise.all(names.map((name) => readyOf(tenant, name)));
      assert.deepEqual(states.map(({ reason }) => reason).sort(), ['Issued', 'SecretConflict', 'SecretConflict']);
      return names[states.findIndex(({ status }) => status === 'True')] ?? '';
    });
    const secret = await tenant.secret('shared');
    assert.equal(secret.metadata.labels?.['mtls-operator.io/certificate'], first);
    const others = names.filter((name) => name !== first);
    for (const name of others) {
      // A resource that found the Secret before the watch reported its owner cannot name the owner yet.
      await eventually(async () => {
        const { message } = await readyOf(tenant, name);
        assert.match(message, new RegExp(`shared.*MtlsCertificate ${first}\\b`));
      });
    }
    await Promise.all(others.map((name) => tenant.patch(name, { spec: named(`for-${name}`) })));
    for (const name of names) await tenant.ready(name);
    for (const name of others) await judge(await tenant.secret(`for-${name}`));
    assert.equal(digestOf(await tenant.secret('shared')), digestOf(secret), 'the Secret of the owner changed');
  });

  test('5. Ownership: a Secret is deleted when its role is removed from spec or gets another secretName', async () => {
    const tenant = await world.tenantWith('prune', { server: { service: 'db' }, client: { serviceAccount: 'db' } });
    const theirs = digestOf(await createSecret(tenant, 'db-peer-tls'));
    await tenant.patch('db', { spec: named('renamed') });
    await tenant.ready('db');
    await isGone(tenant, 'db-server-tls');
    await judge(await tenant.secret('renamed'));
    await tenant.patch('db', { spec: { client: null } });
    await tenant.ready('db');
    await isGone(tenant, 'db-client-tls');
    const { status } = await tenant.get('db');
    assert.deepEqual(
      status?.secrets?.map(({ secretName }) => secretName),
      ['renamed'],
    );
    assert.equal(digestOf(await tenant.secret('db-peer-tls')), theirs, 'a foreign Secret changed');
  });

  test('5. Ownership: the old Secret stays while the new secretName belongs to a foreign Secret', async () => {
    const tenant = await world.tenantWith('prune', named('first'));
    const before = digestOf(await tenant.secret('first'));
    await createSecret(tenant, 'taken');
    await tenant.patch('db', { spec: named('taken') });
    await tenant.notReady('db', 'SecretConflict');
    assert.equal(digestOf(await tenant.secret('first')), before);
  });

  test('5. Ownership: a resource in the namespace of the operator cannot take the root Secret', async () => {
    const rootBefore = await world.rootSecret('mtls-root');
    const metadata = { name: 'thief', namespace: operatorNamespace };
    const kinds = { apiVersion: 'mtls-operator.io/v1alpha1', kind: 'MtlsCertificate' };
    const path = paths.certificates(operatorNamespace);
    await world.api.create(path, { ...kinds, metadata, spec: named('mtls-root') });
    await eventually(async () => {
      const { status } = await world.api.get<Awaited<ReturnType<Tenant['get']>>>(`${path}/thief`);
      assert.equal(status?.conditions?.find(({ type }) => type === 'Ready')?.reason, 'SecretConflict');
    });
    const root = await world.rootSecret('mtls-root');
    assert.equal(digestOf(root), digestOf(rootBefore));
    await world.api.delete(`${path}/thief`);
  });

  test('5. Ownership: a Secret without ownerReference and annotation is foreign and is not written', async () => {
    const tenant = await world.tenantWith('ownership', named('mine'));
    const metadata = { ownerReferences: null, annotations: { [secretName]: null } };
    const secret = await tenant.patchSecret('mine', { metadata, data: { 'tls.crt': '' } });
    await tenant.notReady('db', 'SecretConflict');
    assert.equal(digestOf(await tenant.secret('mine')), digestOf(secret));
  });

  test('5. Ownership: a Secret that lost only its ownerReference is adopted again and repaired', async () => {
    const tenant = await world.tenant('ownership');
    const { metadata } = await tenant.issue('db', named('mine'));
    await tenant.patchSecret('mine', { metadata: { ownerReferences: null }, data: { 'tls.crt': '' } });
    await eventually(async () => {
      const secret = await tenant.secret('mine');
      assert.deepEqual(
        secret.metadata.ownerReferences?.map(({ uid }) => uid),
        [metadata.uid],
      );
      await judge(secret);
    });
  });
});

describe('deletion', { concurrency: 4 }, () => {
  test('Deleting a resource deletes its Secrets and no others', async () => {
    const tenant = await world.tenant('deletion');
    await tenant.create('db', { server: { service: 'db' }, client: { serviceAccount: 'db' } });
    await tenant.create('other', { server: { service: 'other' } });
    await tenant.ready('db');
    await tenant.ready('other');
    const other = digestOf(await tenant.secret('other-server-tls'));
    await tenant.delete('db');
    await isGone(tenant, 'db-server-tls');
    await isGone(tenant, 'db-client-tls');
    assert.equal(digestOf(await tenant.secret('other-server-tls')), other);
  });

  test('A resource that is being deleted, with a finalizer, has its Secrets repaired but not created again', async () => {
    const tenant = await world.tenantWith('deletion', { server: { service: 'db' }, client: { serviceAccount: 'db' } });
    await tenant.patch('db', { metadata: { finalizers: ['example.com/not-yet'] } });
    await tenant.delete('db');
    await eventually(async () => {
      const { status, message } = await readyOf(tenant, 'db');
      assert.deepEqual([status, message], ['True', 'being deleted; up to date: db-server-tls, db-client-tls']);
    });
    await world.api.delete(paths.secrets(tenant.namespace, 'db-client-tls'));
    await tenant.patchSecret('db-server-tls', { data: { 'tls.crt': '' } });
    await eventually(async () => judge(await tenant.secret('db-server-tls')));
    await tenant.notReady('db', 'Deleting');
    assert.ok((await tenant.findSecret('db-client-tls')) === undefined, 'the Secret was created again');
    await tenant.patch('db', { metadata: { finalizers: null } });
    await isGone(tenant, 'db-server-tls');
  });

  test('A root rotation does not wait for a deleted Secret of a resource that is being deleted', async () => {
    const tenant = await world.tenant('held');
    await world.createAuthority('held', { secretName: 'held', root: {}, rotation: { propagationDelay: '1s' } });
    const old = (await world.authorityIs('held', 'True')).status?.activeRoot?.fingerprint;
    await tenant.issue('db', {
      authorityRef: { name: 'held' },
      server: { service: 'db' },
      client: { serviceAccount: 'db' },
    });
    await tenant.patch('db', { metadata: { finalizers: ['example.com/not-yet'] } });
    await tenant.delete('db');
    await world.api.delete(paths.secrets(tenant.namespace, 'db-client-tls'));
    await tenant.notReady('db', 'Deleting');
    const annotations = { 'mtls-operator.io/rotate-root': 'now' };
    await world.patchAuthority('held', { metadata: { annotations } });
    const active = await eventually(
      async () => {
        const { rotation, activeRoot } = (await world.authority('held')).status ?? {};
        assert.equal(rotation, undefined, JSON.stringify(rotation));
        assert.notEqual(activeRoot?.fingerprint, old);
        return activeRoot?.fingerprint;
      },
      { timeoutMs: 90_000, message: 'the rotation does not end' },
    );
    assert.deepEqual((await judge(await tenant.secret('db-server-tls'))).roots, [active]);
    assert.ok((await tenant.findSecret('db-client-tls')) === undefined, 'a Secret was created');
    await tenant.patch('db', { metadata: { finalizers: null } });
  });

  test('5. Ownership: with deletionPolicy Retain, Secrets outlive their resource, and the next resource with that name adopts them', async () => {
    const tenant = await world.tenant('retained');
    const spec = { server: { service: 'db' }, client: { serviceAccount: 'db' }, deletionPolicy: 'Retain' };
    await tenant.issue('db', spec);
    const before = await tenant.secret('db-server-tls');
    assert.deepEqual(before.metadata.ownerReferences ?? [], []);
    await world.api.delete(`${paths.certificates(tenant.namespace, 'db')}?propagationPolicy=Foreground`);
    await eventually(async () =>
      assert.ok((await world.api.find(paths.certificates(tenant.namespace, 'db'))) === undefined),
    );
    await tenant.issue('after', { server: { service: 'after' } });
    assert.equal(digestOf(await tenant.secret('db-server-tls')), digestOf(before));

    const { metadata } = await tenant.issue('db', spec);
    await eventually(async () => {
      const adopted = await tenant.secret('db-server-tls');
      assert.equal(adopted.metadata.annotations?.['mtls-operator.io/certificate-uid'], metadata.uid);
      assert.equal(adopted.metadata.uid, before.metadata.uid);
      assert.ok(JSON.stringify(adopted.data) === JSON.stringify(before.data), 'the content of the Secret changed');
    });

    await world.api.delete(paths.secrets(tenant.namespace, 'db-server-tls'));
    const again = await eventually(() => tenant.secret('db-server-tls'));
    assert.notEqual(again.metadata.uid, before.metadata.uid);
    await judge(again);
    await tenant.patch('db', { spec: { client: null } });
    await isGone(tenant, 'db-client-tls');
    await judge(await tenant.secret('db-server-tls'));
  });

  test('5. Ownership: a change of deletionPolicy removes or adds the ownerReference and nothing else', async () => {
    const tenant = await world.tenant('retained');
    const { metadata } = await tenant.issue('db', { server: { service: 'db' } });
    const { data } = await tenant.secret('db-server-tls');
    const owners = async (deletionPolicy: string, uids: readonly string[]) => {
      await tenant.patch('db', { spec: { deletionPolicy } });
      await eventually(async () => {
        const secret = await tenant.secret('db-server-tls');
        assert.deepEqual(secret.metadata.ownerReferences?.map(({ uid }) => uid) ?? [], uids);
        assert.ok(JSON.stringify(secret.data) === JSON.stringify(data), 'the content of the Secret changed');
      });
    };
    await owners('Retain', []);
    await owners('Delete', [metadata.uid]);
    await tenant.delete('db');
    await isGone(tenant, 'db-server-tls');
  });

  test('5. Ownership: when the owner of a shared secretName is deleted, the next resource gets the name', async () => {
    const tenant = await world.tenant('ownership');
    await tenant.issue('first', named('shared'));
    await tenant.create('second', named('shared'));
    await tenant.notReady('second', 'SecretConflict');
    await tenant.delete('first');
    await readyAfterPoll(tenant, 'second');
    const secret = await tenant.secret('shared');
    await judge(secret);
    assert.equal(secret.metadata.labels?.['mtls-operator.io/certificate'], 'second');
  });

  test('A namespace with resources can be deleted, and the operator does not delay it', async () => {
    const tenant = await world.tenant('ending');
    const names = Array.from({ length: 10 }, (_, i) => `db-${i}`);
    await Promise.all(names.map((name) => tenant.create(name, { server: { service: 'db' } })));
    for (const name of names) await tenant.ready(name);
    const path = `/api/v1/namespaces/${tenant.namespace}`;
    await world.api.delete(path);
    await eventually(async () => assert.ok((await world.api.find(path)) === undefined, 'the namespace still exists'), {
      timeoutMs: 120_000,
    });
    const errors = world.logs().filter(({ level }) => level === 'error');
    assert.deepEqual(
      errors.filter((line) => JSON.stringify(line).includes(tenant.namespace)),
      [],
    );
  });

  test('A resource that is deleted and immediately created again gets its own Secret', async () => {
    const tenant = await world.tenant('deletion');
    const first = await tenant.issue('db', { server: { service: 'db' } });
    await tenant.delete('db');
    const second = await tenant.create('db', { server: { service: 'db' } });
    assert.notEqual(second.metadata.uid, first.metadata.uid);
    await readyAfterPoll(tenant, 'db');
    await eventually(async () => {
      const secret = await tenant.secret('db-server-tls');
      assert.deepEqual(
        secret.metadata.ownerReferences?.map(({ uid }) => uid),
        [second.metadata.uid],
      );
      await judge(secret);
    });
  });
});

test('4. Repair: a Secret with another type is replaced', async () => {
  const tenant = await world.tenant('type');
  const { metadata } = await tenant.issue('db', named('mine'));
  const { metadata: written } = await tenant.secret('mine');
  await world.restart(async () => {
    await world.api.delete(paths.secrets(tenant.namespace, 'mine'));
    const { labels, annotations, ownerReferences } = written;
    await createSecret(tenant, 'mine', {
      type: 'Opaque',
      metadata: { name: 'mine', labels, annotations, ownerReferences },
    });
  });
  await eventually(async () => {
    const secret = await tenant.secret('mine');
    assert.equal(secret.type, 'kubernetes.io/tls');
    await judge(secret);
    assert.equal(secret.metadata.ownerReferences?.[0]?.uid, metadata.uid);
  });
});

test('5. Ownership: a Secret of an older version gets the annotation secret-name with its next write, not at startup; a retained Secret is not written', async () => {
  const tenant = await world.tenantWith('upgraded', named('mine'));
  await tenant.issue('retained', { ...named('kept'), deletionPolicy: 'Retain' });
  const kept = await tenant.secret('kept');
  const unmarked = await tenant.patchSecret('mine', { metadata: { annotations: { [secretName]: null } } });
  await world.restart();
  await tenant.issue('after', { server: { service: 'after' } });
  assert.equal((await tenant.secret('mine')).metadata.resourceVersion, unmarked.metadata.resourceVersion);
  assert.equal((await tenant.secret('kept')).metadata.resourceVersion, kept.metadata.resourceVersion);
  await tenant.rotate('db', 'please');
  await tenant.ready('db');
  assert.equal((await tenant.secret('mine')).metadata.annotations?.[secretName], 'mine');
});

/** The notes of a tenant's events with this reason, about one resource or all. */
async function eventsOf(tenant: Tenant, reason: string, uid?: string): Promise<string[]> {
  const path = `/apis/events.k8s.io/v1/namespaces/${tenant.namespace}/events`;
  const events = await world.api.list<{ reason: string; note: string; regarding: { uid: string } }>(path);
  return events
    .filter((event) => event.reason === reason && (uid === undefined || event.regarding.uid === uid))
    .map(({ note }) => note);
}

async function readyOf(tenant: Tenant, name: string) {
  const ready = (await tenant.get(name)).status?.conditions?.find(({ type }) => type === 'Ready');
  assert.ok(ready !== undefined, 'there is no condition Ready yet');
  return ready;
}

/** Creates another resource, for its UID. */
async function createAnother(tenant: Tenant) {
  await tenant.create('other', { server: { service: 'other' } });
  return tenant.ready('other');
}
