import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import { after, describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { promisify } from 'node:util';

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
  await world.start({
    args: [
      '--metrics-listen-address=127.0.0.1:0',
      `--metrics-tls-directory=${folder}`,
      `--metrics-client=${spiffeId(monitoring)}`,
      `--metrics-client=scraper.${monitoring.namespace}.svc`,
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

/** Requests a path of the operator's metrics server. Returns the response and the certificate that the server presented. */
async function scrape(files: SecretFiles | undefined, path = '/metrics') {
  const line = await eventually(() => {
    const found = world.operator.logs.find(({ message }) => message === 'serving metrics over TLS');
    assert.ok(found !== undefined, 'the operator does not serve metrics over TLS');
    return found;
  });
  const [host, port] = String(line['address']).split(':');
  const { 'ca.crt': ca } = await filesOf(monitoring, 'prometheus-client-tls');
  assert.ok(ca !== undefined);
  const credentials = files === undefined ? {} : { cert: text(files, 'tls.crt'), key: text(files, 'tls.key') };
  return new Promise<{ status: number | undefined; body: string; shown: string }>((resolve, reject) => {
    const options = { host, port, path, servername: serverName, ca: Buffer.from(ca), ...credentials, agent: false };
    const outgoing = request(options, (response) => {
      const shown = fingerprint((response.socket as TLSSocket).getPeerX509Certificate());
      let body = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        body += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode, body, shown }));
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
  const files = await filesOf(world.tenantOf(operatorNamespace), 'metrics-server-tls');
  await mountSecret(folder, files);
  return fingerprint(new X509Certificate(text(files, 'tls.crt')));
}

describe('metrics over TLS', () => {
  test('are served when the operator has issued their certificate', async () => {
    const client = await filesOf(monitoring, 'prometheus-client-tls');
    await assert.rejects(scrape(client));
    const own = world.tenantOf(operatorNamespace);
    await own.issue('metrics', { server: { service: 'mtls-operator' } });
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
    await own.rotate('metrics', 'renew');
    await own.ready('metrics');
    const renewed = await mount();
    assert.notEqual(renewed, before);
    await eventually(async () => assert.equal((await scrape(client)).shown, renewed));
  });
});

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
