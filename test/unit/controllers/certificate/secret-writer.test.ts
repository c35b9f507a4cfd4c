import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { annotations, labels, secretKeys } from '../../../../src/api/constants.ts';
import { Caches } from '../../../../src/controllers/cache/caches.ts';
import type { SigningMaterial } from '../../../../src/controllers/cache/signing-material.ts';
import { RsaKeyPool } from '../../../../src/controllers/certificate/rsa-key-pool.ts';
import { SecretDeleter } from '../../../../src/controllers/certificate/secret-deleter.ts';
import { SecretWriter } from '../../../../src/controllers/certificate/secret-writer.ts';
import { secretRecord } from '../../../../src/controllers/objects/leaf-secret.ts';
import {
  isKubeError,
  type KubeErrorCode,
  type Secret,
  secrets as secretResource,
  silentLog,
} from '../../../../src/kube/index.ts';
import {
  type ObservedRole,
  planCertificate,
  type ReadyAuthority,
  type SecretStep,
} from '../../../../src/plan/index.ts';
import { ready } from '../../../support/fixtures/authority.ts';
import { type CertificateFixture, certificate, ownedAmong } from '../../../support/fixtures/certificate.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { orphaned, withData, withMarks } from '../../../support/fixtures/secret.ts';
import { now } from '../../../support/fixtures/times.ts';
import { MemoryApi } from '../world/memory-api.ts';

const never = new AbortController().signal;
const ref = { namespace: 'shop', name: 'payments-server-tls' };
const signer = root({ name: 'Signer' });
const next = root({ name: 'Next' });
const issued = certificate().issuedBy(signer);
const keepsKey = { privateKey: { ...issued.record.spec.privateKey, rotationPolicy: 'Never' } } as const;
const unnamed = withMarks('annotations', { [annotations.secretName]: undefined });

/** The operator’s writer, and a namespace with the Secret of one resource, as the plan has observed it. */
interface Scene {
  readonly api: MemoryApi;
  readonly writer: SecretWriter;
  readonly deleter: SecretDeleter;
  readonly resource: CertificateFixture;
  readonly role: ObservedRole;
  readonly step: SecretStep;
  readonly material: SigningMaterial;
}

async function sceneOf(resource: CertificateFixture, under: ReadyAuthority & { state: 'ready' }): Promise<Scene> {
  const api = new MemoryApi();
  const { roots } = under.bundle;
  const caches = new Caches(() => roots);
  const stored = await api.byHand(async () => {
    const isThere = resource.observed(under).roles[0]?.secret !== undefined;
    return isThere ? api.create(secretResource, resource.secret('server')) : undefined;
  });
  if (stored !== undefined) caches.secrets.observe(secretRecord(stored, roots));
  const deleter = new SecretDeleter({ client: api.client, log: silentLog, onDeleted: () => undefined });
  const writer = new SecretWriter({
    client: api.client,
    caches,
    roots: () => roots,
    keys: new RsaKeyPool({ concurrency: 1, onReady: () => undefined }),
    now: () => now,
    log: silentLog,
    observer: { onIssued: () => undefined },
    deleter,
  });
  const observed = resource.observed(under);
  const [first] = observed.roles;
  assert.ok(first !== undefined);
  const { secret: _, ...known } = first;
  const role = stored === undefined ? known : { ...known, secret: secretRecord(stored, roots) };
  const [plan] = planCertificate({ ...observed, roles: [role] }, now).secrets;
  assert.ok(plan !== undefined);
  const signs = under.bundle.roots[0]?.fingerprint === next.anchor.fingerprint ? next : signer;
  const { bundle } = under;
  return {
    api,
    writer,
    deleter,
    resource,
    role,
    step: plan.step,
    material: { bundle, issuer: { root: signs, bundle } },
  };
}

const write = async ({ writer, resource, role, step, material }: Scene): Promise<void> => {
  assert.ok(step.step === 'issue' || step.step === 'update', `the plan has nothing to write: ${step.step}`);
  await writer.write(resource.record, role, step, material, never);
};

const surplusOf = ({ role, resource }: Scene) =>
  ownedAmong(role.secret === undefined ? [] : [role.secret], resource.record);

const trustingBoth = ready(signer, next);

/** Every way in which the operator changes an existing Secret: the observation, and the write that follows. */
const writes: Readonly<
  Record<
    string,
    {
      readonly resource: CertificateFixture;
      readonly under?: ReadyAuthority & { state: 'ready' };
      /** The planned step. An issue step also says how the Secret is written. */
      readonly step: 'update' | 'issue update' | 'issue replace' | 'keep';
      readonly act?: (scene: Scene) => Promise<void>;
      readonly done: (after: Secret | undefined, before: Secret) => boolean;
    }
  >
> = {
  'writes another bundle': {
    resource: issued,
    under: trustingBoth,
    step: 'update',
    done: (after, before) => differs('ca.crt', after, before) && !differs('tls.key', after, before),
  },
  'writes outputs of the key': {
    resource: issued.asking({ outputs: { combinedPEM: true } }),
    step: 'update',
    done: (after) => Object.keys(after?.data ?? {}).length > 3,
  },
  'restores a certificate': {
    resource: issued.whereSecret('server', (secret) => withData({ 'tls.crt': twice(secret) })(secret)),
    step: 'update',
    done: (after, before) => differs('tls.crt', after, before) && !differs('tls.key', after, before),
  },
  'adopts a Secret': {
    resource: issued.whereSecret('server', orphaned),
    step: 'update',
    done: (after) => after?.metadata.ownerReferences?.length === 1,
  },
  'issues a certificate for a new key': {
    resource: issued.rotating('t1'),
    step: 'issue update',
    done: (after, before) => differs('tls.crt', after, before) && differs('tls.key', after, before),
  },
  'issues a certificate for the current key': {
    resource: issued.asking({ ...keepsKey, duration: '48h' }).reported(ready(signer)),
    step: 'issue update',
    done: (after, before) => differs('tls.crt', after, before) && !differs('tls.key', after, before),
  },
  'replaces a Secret of another type': {
    resource: issued.whereSecret('server', (secret) => ({ ...secret, type: 'Opaque' })),
    step: 'issue replace',
    done: (after, before) => after?.type === 'kubernetes.io/tls' && after.metadata.uid !== before.metadata.uid,
  },
  'annotates a Secret with its name': {
    resource: issued.whereSecret('server', unnamed),
    step: 'keep',
    act: (scene) => scene.deleter.mark(surplusOf(scene), never),
    done: (after) => after?.metadata.annotations?.[annotations.secretName] === ref.name,
  },
  'prunes a Secret': {
    resource: issued,
    step: 'keep',
    act: (scene) => scene.deleter.prune(scene.resource.record, surplusOf(scene), never),
    done: (after) => after === undefined,
  },
  'annotates and prunes a Secret': {
    resource: issued.whereSecret('server', unnamed),
    step: 'keep',
    act: (scene) => scene.deleter.prune(scene.resource.record, surplusOf(scene), never),
    done: (after) => after === undefined,
  },
};

/** Changes of the Secret by another client that the caches have not seen. */
const interferences: Readonly<Record<string, (api: MemoryApi) => Promise<unknown>>> = {
  'was changed by another client': (api) =>
    api.mergePatch(secretResource, ref, { metadata: { annotations: { theirs: 'x' } } }),
  'was issued by another replica': (api) => {
    const { data = {} } = certificate().issuedBy(signer).secret('server');
    return api.mergePatch(secretResource, ref, { data });
  },
  'was deleted': (api) => api.delete(secretResource, ref),
  'was deleted and created again': async (api) => {
    const found = await api.get(secretResource, ref);
    await api.delete(secretResource, ref);
    await api.create(secretResource, found);
  },
};

describe('the writer of Secrets', () => {
  for (const [title, { resource, under = ready(signer), step, act = write, done }] of Object.entries(writes)) {
    test(`${title} if the Secret has not changed since it was observed`, async () => {
      const scene = await sceneOf(resource, under);
      assert.equal(scene.step.step === 'issue' ? `issue ${scene.step.write}` : scene.step.step, step);
      const before = await scene.api.get(secretResource, ref);
      await act(scene);
      assert.ok(done(scene.api.find(secretResource, ref), before));
    });

    for (const [happened, interfere] of Object.entries(interferences)) {
      test(`${title}, but writes nothing if the Secret ${happened} meanwhile`, async () => {
        const scene = await sceneOf(resource, under);
        await scene.api.byHand(() => interfere(scene.api));
        const before = scene.api.all('secrets');
        await tolerating(act(scene), 'Conflict', 'NotFound');
        assert.deepEqual(scene.api.all('secrets'), before);
      });
    }
  }

  // If this fails: a first issue overwrites the Secret of another resource, or a newer certificate.
  test('creates a Secret only if there is none', async () => {
    const scene = await sceneOf(certificate(), ready(signer));
    await scene.api.byHand(() => scene.api.create(secretResource, issued.secret('server')));
    const before = scene.api.all('secrets');
    await assert.rejects(write(scene), (error) => isKubeError(error, 'AlreadyExists'));
    assert.deepEqual(scene.api.all('secrets'), before);
  });

  test('leaves a Secret unchanged that another client creates during a replacement', async () => {
    const scene = await sceneOf(
      issued.whereSecret('server', (secret) => ({ ...secret, type: 'Opaque' })),
      ready(signer),
    );
    const theirs: Secret = { metadata: { ...ref, labels: { theirs: 'x' } }, type: 'Opaque', data: {} };
    scene.api.subscribe((_, __, after) => {
      if (after === undefined) void scene.api.byHand(() => scene.api.create(secretResource, theirs));
    });
    await tolerating(write(scene), 'AlreadyExists');
    assert.deepEqual(
      scene.api.all('secrets').map(({ metadata }) => metadata.labels),
      [theirs.metadata.labels],
    );
  });

  // If this fails: a change between the two writes is lost with the Secret.
  test('does not prune a Secret that another client changes after it was annotated', async () => {
    const scene = await sceneOf(issued.whereSecret('server', unnamed), ready(signer));
    let isMarked = false;
    scene.api.subscribe(() => {
      if (isMarked) return;
      isMarked = true;
      void scene.api.byHand(() => scene.api.mergePatch(secretResource, ref, { metadata: { labels: { theirs: 'x' } } }));
    });
    await scene.deleter.prune(scene.resource.record, surplusOf(scene), never);
    assert.equal(scene.api.find(secretResource, ref)?.metadata.labels?.['theirs'], 'x');
    assert.equal(scene.api.find(secretResource, ref)?.metadata.labels?.[labels.certificate], 'payments');
  });
});

/** Succeeds if the call failed with one of these codes, or if it had nothing to write. */
async function tolerating(call: Promise<unknown>, ...codes: readonly KubeErrorCode[]): Promise<void> {
  await call.catch((error: unknown) => assert.ok(isKubeError(error, ...codes), String(error)));
}

const differs = (key: string, after: Secret | undefined, before: Secret): boolean =>
  after?.data?.[key] !== before.data?.[key];

function twice(secret: Secret): string {
  const text = Buffer.from(secret.data?.[secretKeys.certificate] ?? '', 'base64').toString();
  return `${text}${text}`;
}
