import assert from 'node:assert/strict';
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import { annotations } from '../../../src/api/constants.ts';
import type { AdminApi, ApiEvent, ApiList, ApiObject } from './api.ts';

/** A Secret as the API server gives it. */
export interface ApiSecret extends ApiObject {
  readonly type: string;
  readonly data: Readonly<Record<string, string>>;
}

/** What a Secret held at one resourceVersion, as everyone saw it who watches; without the key. */
export interface SecretVersion {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly revision: number;
  /** The rotate token that it was issued for. */
  readonly token: string | undefined;
  /** SHA-256 of the public key's DER. */
  readonly publicKey: string;
  /** SHA-256 of the leaf's DER. */
  readonly fingerprint: string;
  /** SHA-256 of ca.crt. */
  readonly bundle: string;
}

/** Every version of every written Secret, recorded from outside of the operator. */
export interface SecretHistory {
  readonly versions: readonly SecretVersion[];
  /** Resolves the moment that so many versions of a namespace's Secrets have been seen. */
  reaches(namespace: string, count: number): Promise<void>;
  /**
   * Asserts what must hold at every moment in a namespace: a revision of a Secret has one key and one certificate for
   * ever, another revision has another key, and a revision is one more than the one before. Throws as well until the
   * record reaches what the API server holds now: to be polled.
   */
  assertOneKeyPerRevision(namespace: string): Promise<void>;
  stop(): Promise<void>;
}

const selector = 'labelSelector=app.kubernetes.io%2Fmanaged-by%3Dmtls-operator%2Cmtls-operator.io%2Fcertificate';

/** Begins to record; what is there already is recorded as it is. */
export async function recordSecrets(api: AdminApi): Promise<SecretHistory> {
  const versions: SecretVersion[] = [];
  const listeners = new Set<() => void>();
  const broken: string[] = [];
  const stopping = new AbortController();
  let resourceVersion = '';

  function record(secret: ApiSecret): void {
    try {
      versions.push(secretVersion(secret));
      for (const listener of listeners) listener();
    } catch (error) {
      broken.push(`${secret.metadata.namespace}/${secret.metadata.name}: ${(error as Error).message}`);
    }
  }

  async function list(): Promise<void> {
    const all = await api.get<ApiList<ApiSecret>>(`/api/v1/secrets?${selector}`);
    for (const item of all.items) record(item);
    resourceVersion = all.metadata.resourceVersion;
  }

  function take({ type, object }: ApiEvent<ApiSecret>): void {
    // Nothing but a resourceVersion that is no longer kept ends a watch in this way.
    resourceVersion = type === 'ERROR' ? '' : object.metadata.resourceVersion;
    if (type === 'ADDED' || type === 'MODIFIED') record(object);
  }

  /** Goes on through restarts of the API server, from where it was. */
  async function follow(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        if (resourceVersion === '') await list();
        const query = `${selector}&watch=true&allowWatchBookmarks=true&resourceVersion=${resourceVersion}`;
        await api.watch<ApiSecret>(`/api/v1/secrets?${query}`, take, stopping.signal);
      } catch {
        // The API server is away.
      }
      await delay(50);
    }
  }

  await list();
  const following = follow();
  return {
    versions,
    async reaches(namespace, count) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const look = (): void => {
        if (versions.filter((version) => version.namespace === namespace).length >= count) resolve();
      };
      listeners.add(look);
      look();
      await promise;
      listeners.delete(look);
    },
    async assertOneKeyPerRevision(namespace) {
      const { items } = await api.get<ApiList<ApiSecret>>(`/api/v1/namespaces/${namespace}/secrets?${selector}`);
      const recorded = new Set(versions.map((version) => version.resourceVersion));
      const unseen = items.filter(({ metadata }) => !recorded.has(metadata.resourceVersion));
      assert.deepEqual(
        unseen.map(({ metadata }) => metadata.name),
        [],
        'the record does not reach the present yet',
      );
      assert.deepEqual(broken, [], 'Secrets that were wrong at some moment');
      const ofNamespace = versions.filter((version) => version.namespace === namespace);
      for (const ofOne of Map.groupBy(ofNamespace, ({ uid }) => uid).values()) assertRevisions(ofOne);
    },
    async stop() {
      stopping.abort();
      await following;
    },
  };
}

/** Reads a Secret as a pod would. Throws when its key, leaf and bundle do not belong together. */
export function secretVersion({ metadata, data }: ApiSecret): SecretVersion {
  const pem = (key: string) => Buffer.from(data[key] ?? '', 'base64').toString('latin1');
  const leaf = new X509Certificate(pem('tls.crt'));
  assert.ok(leaf.checkPrivateKey(createPrivateKey(pem('tls.key'))), 'tls.key is not the key of tls.crt');
  const roots = pem('ca.crt').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  assert.ok(
    roots.map((root) => new X509Certificate(root)).some((root) => leaf.verify(root.publicKey)),
    'ca.crt does not verify tls.crt',
  );
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    revision: Number(metadata.annotations?.[annotations.revision]),
    token: metadata.annotations?.[annotations.rotate],
    publicKey: sha256(leaf.publicKey.export({ type: 'spki', format: 'der' })),
    fingerprint: sha256(leaf.raw),
    bundle: sha256(Buffer.from(pem('ca.crt'), 'latin1')),
  };
}

function assertRevisions(versions: readonly SecretVersion[]): void {
  for (const [index, version] of versions.entries()) {
    const before = versions[index - 1];
    if (before === undefined) continue;
    const what = `${version.name}, from revision ${before.revision} to ${version.revision}`;
    if (version.revision === before.revision) {
      assert.equal(version.publicKey, before.publicKey, `${what}: a second key for one revision`);
      assert.equal(version.fingerprint, before.fingerprint, `${what}: a second certificate for one revision`);
    } else {
      assert.equal(version.revision, before.revision + 1, what);
      assert.notEqual(version.publicKey, before.publicKey, `${what}: the same key`);
    }
  }
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
