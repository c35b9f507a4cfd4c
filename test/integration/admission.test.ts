import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';

import type { MtlsCertificate } from '../../src/api/types.ts';
import { operatorNamespace, paths } from '../support/api.ts';
import { openHelm } from '../support/chart/helm.ts';
import { eventually } from '../support/eventually.ts';
import { installation, type Tenant } from '../support/installation.ts';

/** A file of test/integration/manifests. Its placeholder $(NAMESPACE) is replaced by the namespace of the test. */
interface Manifest {
  /** The file name, which says what is wrong or special. */
  readonly name: string;
  readonly text: string;
  /** Part of the API server's message, from the first line `# refused: …`. */
  readonly refused: string | undefined;
  /** The reason of Ready=False, from the first line `# condition: …`. */
  readonly condition: string | undefined;
}

const invalid = readManifests('invalid');
const valid = readManifests('valid');
const validCertificates = valid.filter(({ text }) => text.includes('kind: MtlsCertificate'));

/** How many manifests are applied in parallel. */
const concurrency = 8;

/** kubectl's default: an unknown or duplicate field is refused. */
const strictly = '?fieldValidation=Strict';
const dryRun = `${strictly}&dryRun=All`;

const world = installation({ operator: false });

it('has a corpus of at least 45 invalid and 15 valid manifests, and every invalid one has an expected result', () => {
  assert.ok(invalid.length >= 45, `${invalid.length} invalid manifests`);
  assert.ok(valid.length >= 15, `${valid.length} valid manifests`);
  const unclear = invalid.filter(({ refused, condition }) => refused === undefined && condition === undefined);
  assert.deepEqual(unclear, []);
});

describe('the API server refuses, with a message that names the error,', { concurrency }, () => {
  for (const { name, text, refused } of invalid) {
    if (refused === undefined) continue;
    it(sentence(name), async () => {
      await assert.rejects(create(text, 'default', dryRun), ({ message }: Error) => {
        assert.ok(message.includes(refused), `expected a message with "${refused}", got: ${message}`);
        return true;
      });
    });
  }
});

describe('the API server accepts', { concurrency }, () => {
  for (const { name, text, refused, condition } of [...valid, ...invalid]) {
    if (refused !== undefined) continue;
    it(condition === undefined ? sentence(name) : `${sentence(name)}, which only the operator can check`, async () => {
      await create(text, 'default', dryRun);
    });
  }
});

it('the API server accepts the examples of deploy/', async () => {
  // A dry run does not create the namespace of the examples.
  await world.cluster.kubectl(['create', 'namespace', 'shop']);
  await world.cluster.kubectl(['apply', '--dry-run=server', '-f', join(import.meta.dirname, '../../deploy/examples')]);
});

it('the role view includes certificates; authorities need the role mtls-operator-authorities-view', async () => {
  const may = async (verb: string, ...args: string[]): Promise<string> =>
    (
      await world.cluster.tryKubectl(['auth', 'can-i', verb, ...args, '--as=jane', '--namespace=default'])
    ).stdout.trim();
  await world.cluster.kubectl([
    'create',
    'rolebinding',
    'jane',
    '--clusterrole=view',
    '--user=jane',
    '--namespace=default',
  ]);
  await eventually(async () => assert.equal(await may('get', 'mtlscertificates'), 'yes'));
  assert.equal(await may('create', 'mtlscertificates'), 'no');
  // A real request: for cluster-scoped resources, `auth can-i` also depends on the namespace.
  const reads = async (): Promise<string> =>
    (await world.cluster.tryKubectl(['get', 'mtlsauthorities', '--as=jane'])).stderr;
  assert.match(await reads(), /forbidden/i);
  const role = '--clusterrole=mtls-operator-authorities-view';
  await world.cluster.kubectl(['create', 'clusterrolebinding', 'jane', role, '--user=jane']);
  await eventually(async () => assert.doesNotMatch(await reads(), /forbidden/i));
  assert.equal(await may('create', 'mtlsauthorities'), 'no');
});

describe('the pods of the operator meet the Pod Security Standard restricted:', () => {
  const rows: readonly (readonly [string, object])[] = [
    ['without values', {}],
    [
      'with volumes for authorities and metrics',
      {
        authorities: [{ name: 'edge', spec: { secretName: 'edge-root', root: {} } }],
        metrics: { tls: { enabled: true }, clients: ['prometheus.monitoring.svc'] },
      },
    ],
  ];
  for (const [title, values] of rows) {
    it(`the API server accepts a pod in a namespace that enforces it, ${title}`, async () => {
      await createPod(await podSpec(values));
    });
  }

  const weakened = [
    ['runAsNonRoot', { podSecurityContext: { runAsNonRoot: null } }],
    ['seccompProfile', { podSecurityContext: { seccompProfile: null } }],
    ['allowPrivilegeEscalation', { containerSecurityContext: { allowPrivilegeEscalation: null } }],
    ['capabilities', { containerSecurityContext: { capabilities: null } }],
  ] as const;
  for (const [field, values] of weakened) {
    it(`the API server refuses a pod without ${field}`, async () => {
      await assert.rejects(
        createPod(await podSpec(values)),
        new RegExp(`violates PodSecurity "restricted:latest": .*${field}`),
      );
    });
  }

  it('beyond the standard, the root file system is read-only, and only the pod itself mounts a token', async () => {
    const { containers: all, automountServiceAccountToken, serviceAccountName } = await podSpec({});
    assert.ok(all.every(({ securityContext }) => securityContext.readOnlyRootFilesystem));
    assert.equal(automountServiceAccountToken, true);
    const account = await world.api.get<{ automountServiceAccountToken: boolean }>(
      `/api/v1/namespaces/${operatorNamespace}/serviceaccounts/${serviceAccountName}`,
    );
    assert.equal(account.automountServiceAccountToken, false);
  });

  async function podSpec(values: object): Promise<PodSpec> {
    const helm = await openHelm('helm');
    const deployments = (await helm.render(values)).filter(({ kind }) => kind === 'Deployment');
    assert.equal(deployments.length, 1);
    return (deployments[0] as unknown as { spec: { template: { spec: PodSpec } } }).spec.template.spec;
  }

  const createPod = (spec: PodSpec): Promise<unknown> =>
    world.api.create(`/api/v1/namespaces/${operatorNamespace}/pods${dryRun}`, { metadata: { name: 'operator' }, spec });
});

interface PodSpec {
  readonly serviceAccountName: string;
  readonly automountServiceAccountToken: boolean;
  readonly containers: readonly { readonly securityContext: { readonly readOnlyRootFilesystem: boolean } }[];
}

it('the API server stores the defaults in the resource', async () => {
  const input = valid.find(({ name }) => name === 'server')?.text ?? '';
  const [stored] = await create(input, 'default', dryRun);
  const { spec } = stored as MtlsCertificate;
  assert.deepEqual(spec, {
    authorityRef: { name: 'default' },
    server: { service: 'payments' },
    duration: '2160h',
    privateKey: { algorithm: 'ECDSA', encoding: 'PKCS8', rotationPolicy: 'Always' },
    deletionPolicy: 'Delete',
  });
});

it('the API server refuses a change of secretName of an existing MtlsAuthority', async () => {
  const minimal = valid.find(({ name }) => name === 'authority-with-its-own-root')?.text ?? '';
  const authority = (secretName: string) => minimal.replace('brought-root', secretName);
  await world.cluster.kubectl(['apply', '-f', '-'], { input: authority('first') });
  const { code, stderr } = await world.cluster.tryKubectl(['apply', '-f', '-'], { input: authority('second') });
  // The operator creates the default authority only in a cluster without any authority.
  await world.cluster.kubectl(['delete', 'mauth', '--all']);
  assert.notEqual(code, 0, 'the secretName was changed');
  assert.match(stderr, /secretName cannot be changed/);
});

describe('the operator', () => {
  before(() => world.start());

  describe('reports with a condition, and writes no Secret for,', { concurrency }, () => {
    for (const { name, text, condition } of invalid) {
      if (condition === undefined) continue;
      it(`${condition}: ${sentence(name)}`, async () => {
        const tenant = await apply(text);
        const { message } = await tenant.notReady(await nameIn(tenant), condition);
        assert.match(message, /\S/, 'the condition has no message');
        assert.deepEqual(await tenant.secrets(), []);
      });
    }
  });

  describe('makes Ready', { concurrency }, () => {
    for (const { name, text } of validCertificates) {
      it(sentence(name), async () => {
        const tenant = await apply(text);
        await tenant.ready(await nameIn(tenant));
      });
    }
  });

  it('is healthy afterwards', async () => {
    assert.equal((await fetch(`${world.operator.url}/healthz`)).status, 200);
    assert.equal((await fetch(`${world.operator.url}/readyz`)).status, 200);
  });

  /** Creates the objects of a manifest in a new namespace. */
  async function apply(text: string): Promise<Tenant> {
    const tenant = await world.tenant('admission');
    await create(text, tenant.namespace, strictly);
    return tenant;
  }

  /** The name of the only MtlsCertificate of a namespace. */
  async function nameIn(tenant: Tenant): Promise<string> {
    const [certificate, ...others] = await tenant.list();
    assert.ok(certificate !== undefined && others.length === 0, 'the manifest must have one MtlsCertificate');
    return certificate.metadata.name;
  }
});

const collections: Readonly<Record<string, (namespace: string) => string>> = {
  MtlsAuthority: () => paths.authorities(),
  MtlsCertificate: (namespace) => paths.certificates(namespace),
  Secret: (namespace) => paths.secrets(namespace),
};

/** Creates the objects of a manifest. The API server parses the YAML. Returns the stored objects. */
async function create(text: string, namespace: string, query: string): Promise<object[]> {
  const created: object[] = [];
  for (const object of inNamespace(text, namespace).split(/^---$/m)) {
    const [, kind = ''] = /^kind: (.+)$/m.exec(object) ?? [];
    const collection = collections[kind];
    assert.ok(collection !== undefined, `a manifest must not have a ${kind}`);
    created.push(await world.api.create<object>(collection(namespace) + query, object));
  }
  return created;
}

function readManifests(folder: 'valid' | 'invalid'): readonly Manifest[] {
  const path = join(import.meta.dirname, 'manifests', folder);
  return readdirSync(path).map((file) => {
    const text = readFileSync(join(path, file), 'utf8');
    const [, refused] = /^# refused: (.+)\n/.exec(text) ?? [];
    const [, condition] = /^# condition: (.+)\n/.exec(text) ?? [];
    return { name: file.replace(/\.yaml$/, ''), text, refused, condition };
  });
}

function inNamespace(text: string, namespace: string): string {
  return text.replaceAll('$(NAMESPACE)', namespace);
}

function sentence(name: string): string {
  return name.replaceAll('-', ' ');
}
