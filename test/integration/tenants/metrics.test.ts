import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, sign, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { promisify } from 'node:util';

import { verdictLifetimeMs } from '../../../src/telemetry/token-gate.ts';
import { mountSecret, type SecretFiles, secretFiles } from '../../../tools/secret-volume.ts';
import { operatorNamespace } from '../../support/api.ts';
import { eventually } from '../../support/eventually.ts';
import { installation, type Tenant } from '../../support/installation.ts';
import { missing } from '../../support/missing.ts';
import { type FixtureRoot, opensslRoot } from '../../support/pki-fixture.ts';
import { scratchFolder } from '../../support/scratch.ts';

const skip = process.env['CI'] === 'true' ? false : (missing.promtool() ?? false);
const serverName = 'mtls-operator.mtls-operator.svc';

let monitoring: Tenant;
let tenant: Tenant;
let folder: string;
let strangers: FixtureRoot;
const world = installation({ operator: false }, async () => {
  [monitoring, tenant] = [await world.tenant('monitoring'), await world.tenant('tenant')];
  folder = await scratchFolder('metrics');
  strangers = await opensslRoot('Strangers');
  // As the chart does: the operator may create MtlsCertificates in its own namespace.
  const role = ['--role=metrics', `--serviceaccount=${operatorNamespace}:mtls-operator`];
  const creates = ['--verb=create', '--resource=mtlscertificates.mtls-operator.io'];
  await world.cluster.kubectl(['create', 'role', 'metrics', '-n', operatorNamespace, ...creates]);
  await world.cluster.kubectl(['create', 'rolebinding', 'metrics', '-n', operatorNamespace, ...role]);
  await world.start({
    args: [
      '--metrics-listen-address=127.0.0.1:0',
      `--metrics-tls-directory=${folder}`,
      `--metrics-client=${spiffeId(monitoring)}`,
      `--metrics-client=scraper.${monitoring.namespace}.svc`,
      '--metrics-service=mtls-operator',
    ],
  });
  await monitoring.create('prometheus', {
    client: { serviceAccount: 'prometheus' },
    peer: { service: 'scraper' },
    server: { service: 'scraper' },
  });
  await tenant.create('prometheus', { client: { serviceAccount: 'prometheus' }, peer: { service: 'scraper' } });
  await monitoring.ready('prometheus');
  await tenant.ready('prometheus');
});
after(() => strangers.remove());

const spiffeId = ({ namespace }: Tenant): string => `spiffe://cluster.local/ns/${namespace}/sa/prometheus`;

const filesOf = async (of: Tenant, name: string): Promise<SecretFiles> => secretFiles(await of.secret(name));

interface Scraped {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The fingerprint of the certificate that the server presented. */
  readonly shown: string;
}

/** Requests a path of the operator's metrics server. */
async function scrape(files: SecretFiles | undefined, path = '/metrics', headers: OutgoingHttpHeaders = {}) {
  const line = await eventually(() => {
    const found = world.operator.logs.find(({ message }) => message === 'serving metrics over TLS');
    assert.ok(found !== undefined, 'the operator does not serve metrics over TLS');
    return found;
  });
  const [host, port] = String(line['address']).split(':');
  const { 'ca.crt': ca } = await filesOf(monitoring, 'prometheus-client-tls');
  assert.ok(ca !== undefined);
  const credentials = files === undefined ? {} : { cert: text(files, 'tls.crt'), key: text(files, 'tls.key') };
  return new Promise<Scraped>((resolve, reject) => {
    const options = {
      host,
      port,
      path,
      servername: serverName,
      ca: Buffer.from(ca),
      ...credentials,
      headers,
      agent: false,
    };
    const outgoing = request(options, (response) => {
      const shown = fingerprint((response.socket as TLSSocket).getPeerX509Certificate());
      let body = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        body += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body, shown }));
    });
    outgoing.on('error', reject).end();
  });
}

const text = (files: SecretFiles, name: string): string => Buffer.from(files[name] ?? '').toString();
const fingerprint = (certificate: X509Certificate | undefined): string =>
  createHash('sha256')
    .update(certificate?.raw ?? '')
    .digest('hex');

/** Mounts the Secret of the metrics server for the operator, like kubelet. */
async function mount(): Promise<string> {
  const files = await filesOf(world.tenantOf(operatorNamespace), 'mtls-operator-metrics-server-tls');
  await mountSecret(folder, files);
  return fingerprint(new X509Certificate(text(files, 'tls.crt')));
}

describe('metrics over TLS', () => {
  test('are served with a certificate that the operator requests and issues itself', async () => {
    const client = await filesOf(monitoring, 'prometheus-client-tls');
    await assert.rejects(scrape(client));
    const own = world.tenantOf(operatorNamespace);
    await own.ready('mtls-operator-metrics');
    const mounted = await mount();
    const { status, body, shown } = await eventually(() => scrape(client));
    assert.equal(status, 200, body);
    assert.match(body, /^leader_election_master_status\{name="mtls-operator"\} 1$/m);
    assert.equal(shown, mounted);
  });

  test('are served to a client with one of the configured names, a SPIFFE ID or a DNS name', async () => {
    for (const name of ['prometheus-client-tls', 'prometheus-peer-tls']) {
      const { status, body } = await scrape(await filesOf(monitoring, name));
      assert.equal(status, 200, body);
      assert.match(body, new RegExp(`namespace="${tenant.namespace}"`));
    }
    assert.equal((await scrape(await filesOf(monitoring, 'prometheus-client-tls'), '/')).status, 404);
  });

  test('contain names of resources, but neither names in certificates, certificates nor keys', async () => {
    const { body } = await scrape(await filesOf(monitoring, 'prometheus-client-tls'));
    assert.doesNotMatch(body, /BEGIN|spiffe:|\.svc/);
    const own = body.split('\n').filter((line) => !/^(#|process_|nodejs_)/.test(line));
    const labels = new Set(own.flatMap((line) => line.match(/[a-z_]+(?==")/g) ?? []));
    const known = new Set([
      'authority',
      'code',
      'controller',
      'host',
      'le',
      'method',
      'name',
      'namespace',
      'phase',
      'ready',
      'reason',
      'resource',
      'result',
      'role',
      'verb',
      'version',
    ]);
    for (const label of labels) assert.ok(known.has(label), label);
  });

  test('pass the linter of Prometheus', { skip }, async () => {
    const { body } = await scrape(await filesOf(monitoring, 'prometheus-client-tls'));
    assert.match(body, /^mtls_operator_certificate_renewal_seconds\{/m);
    assert.match(
      body,
      /^rest_client_requests_total\{code="200",method="GET",host="[^"]+:\d+",verb="list",resource="secrets"\} /m,
    );
    const checking = promisify(execFile)('promtool', ['check', 'metrics']);
    checking.child.stdin?.end(body);
    const { stdout, stderr } = await checking;
    assert.equal(stdout + stderr, '');
  });

  test('are refused to a tenant with a certificate of the same root for the same names in another namespace', async () => {
    for (const name of ['prometheus-client-tls', 'prometheus-peer-tls']) {
      const { status, body } = await scrape(await filesOf(tenant, name));
      assert.equal(status, 403);
      assert.doesNotMatch(body, /namespace=/);
    }
  });

  test('are refused without a certificate, with a server certificate, and with a certificate of another root for the same name', async () => {
    await assert.rejects(scrape(undefined));
    await assert.rejects(scrape(await filesOf(monitoring, 'prometheus-server-tls')));
    await assert.rejects(scrape(await strangers.issue('client', `URI:${spiffeId(monitoring)}`)));
  });

  test('are no longer served on the HTTP address, which keeps serving health', async () => {
    const { url } = world.operator;
    const metrics = await fetch(`${url}/metrics`);
    assert.equal(metrics.status, 404);
    assert.doesNotMatch(await metrics.text(), /mtls_operator/);
    for (const path of ['/healthz', '/readyz']) assert.equal((await fetch(`${url}${path}`)).status, 200);
  });

  test('are served with the renewed certificate when it is mounted, and with the old one while the files are damaged', async () => {
    const own = world.tenantOf(operatorNamespace);
    const client = await filesOf(monitoring, 'prometheus-client-tls');
    const { shown: before } = await scrape(client);
    await mountSecret(folder, { 'tls.crt': Buffer.from('damaged'), 'tls.key': Buffer.from('damaged') });
    const refused = 'cannot load the certificate for serving metrics; the operator retries';
    const warnings = () => world.operator.logs.filter(({ message }) => message === refused).length;
    const seen = warnings();
    await eventually(() => assert.ok(warnings() > seen, 'the operator has not read the files'));
    assert.equal((await scrape(client)).shown, before);
    await own.rotate('mtls-operator-metrics', 'renew');
    await own.ready('mtls-operator-metrics');
    const renewed = await mount();
    assert.notEqual(renewed, before);
    await eventually(async () => assert.equal((await scrape(client)).shown, renewed));
  });
});

/** Metrics that a client may read with a certificate or with a token. */
describe('metrics with a bearer token', () => {
  const binding = 'metrics-auth-delegator';
  const reader = 'metrics-reader';

  before(async () => {
    for (const name of ['prometheus', 'stranger', 'leaving'])
      await world.cluster.kubectl(['create', 'serviceaccount', name, '-n', monitoring.namespace]);
    await world.cluster.kubectl(['create', 'clusterrole', reader, '--verb=get', '--non-resource-url=/metrics']);
    for (const name of ['prometheus', 'leaving']) await grant(name);
    await delegate();
    await world.start({
      args: [
        '--metrics-listen-address=127.0.0.1:0',
        `--metrics-tls-directory=${folder}`,
        `--metrics-client=${spiffeId(monitoring)}`,
        '--metrics-authorization',
      ],
      server: world.proxy.server,
    });
  });

  const bind = (name: string, role: string, account: string) =>
    world.cluster.kubectl([
      'create',
      'clusterrolebinding',
      name,
      `--clusterrole=${role}`,
      `--serviceaccount=${account}`,
    ]);

  /** Lets the operator check tokens. */
  const delegate = () => bind(binding, 'system:auth-delegator', `${operatorNamespace}:mtls-operator`);

  const grant = (name: string) => bind(`${reader}-${name}`, reader, `${monitoring.namespace}:${name}`);

  const tokenOf = async (name: string, ...args: readonly string[]): Promise<string> =>
    (await world.cluster.kubectl(['create', 'token', name, '-n', monitoring.namespace, ...args])).trim();

  /** Scrapes with a token and without a certificate. */
  const scrapeWith = (token: string, scheme = 'Bearer') =>
    scrape(undefined, '/metrics', { authorization: `${scheme} ${token}` });

  const reviews = async (resource: string): Promise<number> => {
    const { body } = await scrape(await filesOf(monitoring, 'prometheus-client-tls'));
    const pattern = new RegExp(`^rest_client_requests_total\\{.*resource="${resource}"\\} (\\d+)$`, 'gm');
    return [...body.matchAll(pattern)].reduce((sum, [, count]) => sum + Number(count), 0);
  };

  test('are served to a ServiceAccount with the right, also if it presents a certificate that no flag names', async () => {
    const token = await tokenOf('prometheus');
    const { status, body } = await scrapeWith(token);
    assert.equal(status, 200, body);
    assert.match(body, /^leader_election_master_status/m);
    assert.equal((await scrapeWith(token, 'bearer')).status, 200);
    const headers = { authorization: `Bearer ${token}` };
    for (const files of [
      await filesOf(tenant, 'prometheus-client-tls'),
      await strangers.issue('client', `URI:${spiffeId(monitoring)}`),
    ])
      assert.equal((await scrape(files, '/metrics', headers)).status, 200);
    assert.equal((await scrape(undefined, '/', headers)).status, 404);
  });

  test('are served to a named client without a token, and refused to other certificates', async () => {
    assert.equal((await scrape(await filesOf(monitoring, 'prometheus-client-tls'))).status, 200);
    for (const files of [
      await filesOf(tenant, 'prometheus-client-tls'),
      await strangers.issue('client', `URI:${spiffeId(monitoring)}`),
    ])
      assert.equal((await scrape(files)).status, 401);
  });

  test('are refused with 403 to a ServiceAccount without the right', async () => {
    const { status, body, headers } = await scrapeWith(await tokenOf('stranger'));
    assert.deepEqual([status, body], [403, 'the user of this token may not get the nonResourceURL /metrics\n']);
    assert.match(headers['www-authenticate'] ?? '', /insufficient_scope/);
    assert.match(headers['content-type'] ?? '', /^text\/plain/);
  });

  test('are refused with 401 without a token, and with one that is malformed, expired, for another audience or of a deleted account', async () => {
    const without = await scrape(undefined);
    const text = 'send a bearer token, or present a certificate with a name of --metrics-client\n';
    assert.deepEqual([without.status, without.body], [401, text]);
    assert.equal(without.headers['www-authenticate'], 'Bearer realm="metrics"');
    const good = await tokenOf('prometheus');
    assert.equal((await scrape(undefined, '/metrics', { authorization: `Basic ${good}` })).status, 401);
    const leaving = await tokenOf('leaving');
    await world.cluster.kubectl(['delete', 'serviceaccount', 'leaving', '-n', monitoring.namespace]);
    const refused = {
      malformed: 'a.b.c',
      expired: expired(good),
      'for another audience': await tokenOf('prometheus', '--audience=vault'),
      'of a deleted account': leaving,
    };
    for (const [what, token] of Object.entries(refused)) {
      const { status, body, headers } = await scrapeWith(token);
      assert.deepEqual([status, body], [401, 'the API server does not accept this token\n'], what);
      assert.match(headers['www-authenticate'] ?? '', /invalid_token/);
    }
  });

  test('are checked once for many scrapes, and no longer served within seconds after the right is taken away', async () => {
    const token = await tokenOf('prometheus');
    const before = [await reviews('tokenreviews'), await reviews('subjectaccessreviews')];
    const started = performance.now();
    for (let i = 0; i < 30; i += 1) assert.equal((await scrapeWith(token)).status, 200);
    const most = 1 + Math.floor((performance.now() - started) / verdictLifetimeMs);
    const after = [await reviews('tokenreviews'), await reviews('subjectaccessreviews')];
    for (const [i, count] of after.entries())
      assert.ok(count - (before[i] ?? 0) <= most, `${before.join()} → ${after.join()}`);
    await world.cluster.kubectl(['delete', 'clusterrolebinding', `${reader}-prometheus`]);
    await eventually(async () => assert.equal((await scrapeWith(token)).status, 403));
    await grant('prometheus');
    // The refusal of the first token is cached for a while.
    const next = await tokenOf('prometheus');
    await eventually(async () => assert.equal((await scrapeWith(next)).status, 200));
  });

  test('are refused with 503 while the API server refuses or breaks the check, and served again afterwards', async () => {
    await world.cluster.kubectl(['delete', 'clusterrolebinding', binding]);
    const unavailable = [503, 'the API server cannot check this token now; try again\n'];
    // RBAC takes a moment to notice. Each token is new, because an answer about it is cached.
    await eventually(async () => {
      const { status, body } = await scrapeWith(await tokenOf('prometheus'));
      assert.deepEqual([status, body], unavailable);
    });
    await eventually(() => {
      const line = world.operator.logs.find(({ message }) =>
        String(message).startsWith('cannot check the token of a client'),
      );
      assert.match(JSON.stringify(line), /tokenreviews.*forbidden/);
      assert.doesNotMatch(JSON.stringify(line), /eyJ/, 'the log has a token');
    });
    await delegate();
    const token = await tokenOf('prometheus');
    await eventually(async () => assert.equal((await scrapeWith(token)).status, 200));
    for (const resource of ['tokenreviews', 'subjectaccessreviews']) {
      world.proxy.faults = { onRequest: ({ path }) => (path.endsWith(resource) ? 'break' : 'pass') };
      const next = await tokenOf('prometheus');
      // This client may have tried too many tokens before.
      await eventually(async () => {
        const { status, body } = await scrapeWith(next);
        assert.deepEqual([status, body], unavailable, resource);
      });
    }
    world.proxy.faults = {};
  });

  // The last test: it uses up the tokens that this address may try.
  test('are refused to a client that tries many tokens, with few requests to the API server', async () => {
    const before = await reviews('tokenreviews');
    const started = performance.now();
    const statuses = new Set<number | undefined>();
    for (let i = 0; i < 40; i += 1) statuses.add((await scrapeWith(`guess-${i}`)).status);
    const most = 10 + Math.ceil((performance.now() - started) / 1000);
    assert.deepEqual(statuses, new Set([401, 503]));
    const sent = (await reviews('tokenreviews')) - before;
    assert.ok(sent <= most, `${sent} reviews for 40 tokens`);
  });
});

/** The token with a time of expiry in the past, signed again with the key of the API server. */
function expired(token: string): string {
  const [header = '', payload = ''] = token.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
  const ended = Math.floor(Date.now() / 1000) - 60;
  const past = { ...claims, exp: ended, iat: ended - 600, nbf: ended - 600 };
  const signed = `${header}.${Buffer.from(JSON.stringify(past)).toString('base64url')}`;
  const key = readFileSync(join(world.cluster.dir, 'service-account.key'));
  return `${signed}.${sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

test('the NetworkPolicy selects the operator’s pods, has their ports, and admits only labelled namespaces', async () => {
  const get = <T>(group: string, plural: string): Promise<T> =>
    world.api.get<T>(`/apis/${group}/v1/namespaces/${operatorNamespace}/${plural}/mtls-operator`);
  const { spec: policy } = await get<NetworkPolicy>('networking.k8s.io', 'networkpolicies');
  const { spec: deployment } = await get<Deployment>('apps', 'deployments');
  const { labels } = deployment.template.metadata;
  for (const [label, value] of Object.entries(policy.podSelector.matchLabels)) assert.equal(labels[label], value);
  assert.deepEqual(policy.policyTypes, ['Ingress']);
  assert.equal(policy.ingress.length, 1);
  const [rule] = policy.ingress;
  const admitted = { namespaceSelector: { matchLabels: { 'mtls-operator.io/metrics': 'allow' } } };
  assert.deepEqual(rule?.from, [admitted]);
  const ports = deployment.template.spec.containers.flatMap(({ ports }) => ports.map((port) => port.containerPort));
  for (const port of ports)
    assert.ok(
      rule.ports.some((admittedPort) => admittedPort.port === port),
      `port ${port} cannot be reached`,
    );
});

interface NetworkPolicy {
  readonly spec: {
    readonly podSelector: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly policyTypes: readonly string[];
    readonly ingress: readonly {
      readonly from: readonly unknown[];
      readonly ports: readonly { readonly port: number }[];
    }[];
  };
}

interface Deployment {
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: {
        readonly containers: readonly { readonly ports: readonly { readonly containerPort: number }[] }[];
      };
    };
  };
}
