import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { paths } from '../../support/api.ts';
import { judge } from '../../support/behaviours/judge.ts';
import { eventually } from '../../support/eventually.ts';
import { type Authority, type Certificate, install, installation } from '../../support/installation.ts';

const world = installation();

describe('issuing', { concurrency: 4 }, () => {
  const both = { service: 'db', serviceAccount: 'db' };
  const kinds = [
    { key: {}, kind: /^Public-Key: \(256 bit\)/, label: 'PRIVATE KEY' },
    { key: { algorithm: 'ECDSA', size: 384 }, kind: /\(384 bit\)/, label: 'PRIVATE KEY' },
    { key: { algorithm: 'ECDSA', size: 521, encoding: 'SEC1' }, kind: /\(521 bit\)/, label: 'EC PRIVATE KEY' },
    { key: { algorithm: 'RSA', size: 2048, encoding: 'PKCS1' }, kind: /\(2048 bit\)/, label: 'RSA PRIVATE KEY' },
    { key: { algorithm: 'RSA', size: 3072, encoding: 'PKCS8' }, kind: /\(3072 bit\)/, label: 'PRIVATE KEY' },
    { key: { algorithm: 'Ed25519' }, kind: /^ED25519/, label: 'PRIVATE KEY' },
  ];
  for (const { key, kind, label } of kinds) {
    const title = Object.values(key).join(' ') || 'the default kind';
    test(`1. Each Secret is complete: server, client and peer with keys of ${title}`, async () => {
      const tenant = await world.tenant('issuing');
      const { status } = await tenant.issue('db', { server: both, client: both, peer: both, privateKey: key });
      const usages = {
        server: 'TLS Web Server Authentication',
        client: 'TLS Web Client Authentication',
        peer: 'TLS Web Server Authentication, TLS Web Client Authentication',
      };
      assert.deepEqual(status?.secrets?.map(({ role }) => role).sort(), Object.keys(usages).sort());
      for (const { role, secretName, ...entry } of status?.secrets ?? []) {
        const secret = await tenant.secret(secretName);
        assert.equal(secretName, `db-${role}-tls`);
        assert.equal(secret.type, 'kubernetes.io/tls');
        const judged = await judge(secret);
        assert.equal(judged.usage, usages[role]);
        assert.match(judged.keyKind, kind);
        assert.equal(judged.keyLabel, label);
        assert.partialDeepStrictEqual(entry, {
          serialNumber: judged.serialNumber,
          fingerprint: judged.fingerprint,
          rootFingerprint: judged.roots[0],
          notBefore: rfc3339(judged.notBefore),
          notAfter: rfc3339(judged.notAfter),
          revision: 1,
        });
      }
    });
  }
});

describe('what users see', { concurrency: 4 }, () => {
  test('1. A certificate is valid for the requested duration from the time of issue', async () => {
    const tenant = await world.tenant('duration');
    for (const [name, duration, ms] of [
      ['short', '5m', 300_000],
      ['odd', '1h30m15s', 5_415_000],
    ] as const) {
      const from = Date.now();
      await tenant.issue(name, { server: { service: 'db' }, duration });
      const { notAfter } = await judge(await tenant.secret(`${name}-server-tls`));
      const issuedAt = notAfter.getTime() - ms;
      assert.ok(issuedAt >= from - 1000 && issuedAt <= Date.now(), `${name} lasts until ${notAfter.toISOString()}`);
    }
  });

  test('Events on the resource report each issue, rotation, repair and denial once', async () => {
    const tenant = await world.tenantWith('events');
    await tenant.rotate('db', 'once');
    await tenant.ready('db');
    await tenant.patchSecret('db-server-tls', { data: { 'tls.crt': '' } });
    await eventually(async () => assert.equal((await tenant.get('db')).status?.secrets?.[0]?.revision, 3));
    await tenant.patch('db', { spec: { server: { dnsNames: ['example.com'] } } });
    await tenant.notReady('db', 'Denied');
    await eventually(async () => {
      const path = `/apis/events.k8s.io/v1/namespaces/${tenant.namespace}/events`;
      const events = await world.api.list<{ reason: string; type: string; regarding: { name: string } }>(path);
      assert.deepEqual(events.map(({ regarding, type, reason }) => `${regarding.name}: ${type} ${reason}`).sort(), [
        'db: Normal Issued',
        'db: Normal Repaired',
        'db: Normal Rotated',
        'db: Warning Denied',
      ]);
    });
  });

  test('The operator owns status as a whole in managedFields, not each of its fields', async () => {
    const tenant = await world.tenantWith('owner', { server: { service: 'db' }, client: { serviceAccount: 'db' } });
    for (const { metadata } of [await tenant.get('db'), await world.authority('default')]) {
      const { managedFields = [] } = metadata as { managedFields?: Array<{ subresource?: string; fieldsV1: unknown }> };
      const ofStatus = managedFields.filter(({ subresource }) => subresource === 'status');
      assert.deepEqual(
        ofStatus.map(({ fieldsV1 }) => fieldsV1),
        [{ 'f:status': {} }],
      );
    }
  });

  test('kubectl get shows Ready, the reason, the authority and the expiry; with -o wide also the renewal', async () => {
    const tenant = await world.tenant('columns');
    const { status } = await tenant.issue('db', { server: { service: 'db' } });
    const get = (...args: string[]): Promise<string> =>
      world.cluster.kubectl(['get', 'mcert', 'db', `--namespace=${tenant.namespace}`, '--no-headers', ...args]);
    const { notAfter, renewalTime } = status!.secrets![0]!;
    assert.deepEqual((await get()).split(/\s+/).slice(0, 5), ['db', 'True', 'Issued', 'default', notAfter]);
    assert.deepEqual((await get('--output=wide')).split(/\s+/).slice(4, 6), [notAfter, renewalTime]);
    const authority = await world.cluster.kubectl(['get', 'mauth', 'default', '--no-headers']);
    assert.deepEqual(authority.split(/\s+/).slice(0, 3), ['default', 'True', 'Ready']);
  });

  test('kubectl get selects the certificates of an authority with a field selector', async () => {
    const tenant = await world.tenant('selected');
    await tenant.create('db', { server: { service: 'db' } });
    await tenant.create('other', { server: { service: 'db' }, authorityRef: { name: 'another' } });
    const selected = (name: string): Promise<string> =>
      world.cluster.kubectl([
        'get',
        'mcert',
        `--namespace=${tenant.namespace}`,
        `--field-selector=spec.authorityRef.name=${name}`,
        '--output=name',
      ]);
    assert.equal((await selected('default')).trim(), 'mtlscertificate.mtls-operator.io/db');
    assert.equal((await selected('another')).trim(), 'mtlscertificate.mtls-operator.io/other');
    assert.equal((await selected('none')).trim(), '');
  });

  test('The expiry metric of a Secret stays when another owner takes the Secret over, because pods still use the certificate', async () => {
    const tenant = await world.tenant('taken');
    const { status } = await tenant.issue('db', { server: { service: 'db' } });
    await tenant.patchSecret('db-server-tls', { metadata: { ownerReferences: null, labels: null, annotations: null } });
    await tenant.notReady('db', 'SecretConflict');
    const seconds = Date.parse(status!.notAfter!) / 1000;
    const series = `mtls_operator_certificate_expiry_seconds{namespace="${tenant.namespace}",name="db",role="server"}`;
    const metrics = await (await fetch(`${world.operator.url}/metrics`)).text();
    assert.ok(metrics.includes(`${series} ${seconds}\n`), metrics);
    assert.deepEqual((await tenant.get('db')).status?.secrets, status!.secrets);
  });
});

describe('a new resource', () => {
  /**
   * kstatus by the rules of sigs.k8s.io/cli-utils/pkg/kstatus for resources with conventional conditions, without the state
   * failed.
   */
  const kstatus = ({ metadata, status }: Certificate | Authority): 'Current' | 'InProgress' => {
    const { generation } = metadata as { generation?: number };
    if (status?.observedGeneration !== undefined && status.observedGeneration !== generation) return 'InProgress';
    const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.status;
    return ready === undefined || ready === 'True' ? 'Current' : 'InProgress';
  };

  test('is Pending from its creation until the operator sees it', async () => {
    const tenant = await world.tenant('unseen');
    await world.operator.stop();
    await tenant.create('db', { server: { service: 'db' } });
    await world.createAuthority('unseen', { secretName: 'unseen-root', root: {} });
    for (const object of [await tenant.get('db'), await world.authority('unseen')]) {
      assert.equal(object.status?.observedGeneration, -1);
      assert.equal(kstatus(object), 'InProgress');
      const [{ type, status, reason, lastTransitionTime } = { type: '' }, ...more] = object.status.conditions ?? [];
      assert.deepEqual(more, []);
      assert.deepEqual(
        { type, status, reason, lastTransitionTime },
        { type: 'Ready', status: 'Unknown', reason: 'Pending', lastTransitionTime: '1970-01-01T00:00:00Z' },
      );
    }
    const row = await world.cluster.kubectl(['get', 'mcert', 'db', `--namespace=${tenant.namespace}`, '--no-headers']);
    assert.deepEqual(row.split(/\s+/).slice(0, 4), ['db', 'Unknown', 'Pending', 'default']);

    await world.start();
    for (const object of [await tenant.ready('db'), await world.authorityIs('unseen', 'True')]) {
      assert.equal(object.status?.observedGeneration, 1);
      assert.equal(kstatus(object), 'Current');
      const ready = object.status.conditions?.find(({ type }) => type === 'Ready');
      assert.notEqual(ready?.lastTransitionTime, '1970-01-01T00:00:00Z');
    }
  });
});

describe('the first start', () => {
  test('emits no warning events, even if certificates exist before the operator creates the authority', async () => {
    const fresh = await install();
    try {
      const tenants = await Promise.all(Array.from({ length: 8 }, (_, i) => fresh.tenant(`first-${i}`)));
      for (const tenant of tenants)
        await tenant.create('db', { server: { service: 'db' }, client: { serviceAccount: 'db' } });
      await fresh.start();
      await Promise.all(tenants.map((tenant) => tenant.ready('db')));
      await fresh.api.patch(paths.authorities('default'), {
        spec: { trustBundle: { configMap: { name: 'roots', namespaceSelector: {} } } },
      });
      await eventually(async () => {
        const { status } = await fresh.authority('default');
        const published = status?.conditions?.find(({ type }) => type === 'TrustPublished');
        assert.equal(published?.status, 'True', published?.message ?? 'there is no condition TrustPublished');
      });
      // Events are written in the background. The last ones are written when the operator stops.
      await fresh.operator.stop();
      const events = await fresh.api.list<{ type: string; reason: string; note: string; reportingController: string }>(
        paths.events,
      );
      assert.ok(events.some(({ reason }) => reason === 'RootCreated'));
      const ours = events.filter((event) => event.type === 'Warning' && event.reportingController === 'mtls-operator');
      assert.deepEqual(
        ours.map(({ reason, note }) => `${reason}: ${note}`),
        [],
      );
    } finally {
      await fresh.end();
    }
  });
});

const rfc3339 = (date: Date): string => date.toISOString().replace('.000Z', 'Z');
