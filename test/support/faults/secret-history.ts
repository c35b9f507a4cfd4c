import assert from 'node:assert/strict';
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';

import { annotations, labels } from '../../../src/api/constants.ts';
import type { Secret } from '../api.ts';
import type { Installation } from '../installation.ts';

/** The content of a Secret at one resourceVersion, without the private key. */
export interface SecretVersion {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly revision: number;
  /** The rotate token for which it was issued. */
  readonly token: string | undefined;
  /** SHA-256 of the public key's DER. */
  readonly publicKey: string;
  /** SHA-256 of the leaf's DER. */
  readonly fingerprint: string;
  /** SHA-256 of ca.crt. */
  readonly bundle: string;
}

/**
 * Every version of every Secret of the MtlsCertificates in a namespace, recorded by a watch that is independent of the
 * operator.
 */
export interface SecretHistory {
  readonly versions: readonly SecretVersion[];
  /** Resolves when the history has this number of versions. */
  reaches(count: number): Promise<void>;
  /**
   * Asserts what must hold at every moment: each revision of a Secret has one key and one certificate, another revision has
   * another key, and revisions are consecutive. Also throws while the history does not yet include the current state of the
   * API server, so poll it.
   */
  assertOneKeyPerRevision(): Promise<void>;
}

/** Starts to record the Secrets of a namespace that has none yet. */
export function recordSecrets(world: Installation, namespace: string): SecretHistory {
  const versions: SecretVersion[] = [];
  const listeners = new Set<() => void>();
  const broken: string[] = [];

  world.watched.follow((secret) => {
    const { metadata } = secret;
    if (metadata.namespace !== namespace || metadata.labels?.[labels.certificate] === undefined) return;
    try {
      versions.push(secretVersion(secret));
      for (const listener of listeners) listener();
    } catch (error) {
      broken.push(`${metadata.name}: ${(error as Error).message}`);
    }
  });

  return {
    versions,
    async reaches(count) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const check = (): void => {
        if (versions.length >= count) resolve();
      };
      listeners.add(check);
      check();
      await promise;
      listeners.delete(check);
    },
    async assertOneKeyPerRevision() {
      const secrets = await world.tenantOf(namespace).secrets();
      const recorded = new Set(versions.map((version) => version.resourceVersion));
      const unseen = secrets.filter(({ metadata }) => !recorded.has(metadata.resourceVersion));
      assert.deepEqual(
        unseen.map(({ metadata }) => metadata.name),
        [],
        'the history does not include the current state yet',
      );
      assert.deepEqual(broken, [], 'Secrets with an invalid state at some moment');
      for (const versionsOfSecret of Map.groupBy(versions, ({ uid }) => uid).values())
        assertRevisions(versionsOfSecret);
    },
  };
}

/** Reads a Secret as a pod would. Throws if its key, leaf and bundle do not belong together. */
export function secretVersion({ metadata, data }: Secret): SecretVersion {
  const pem = (key: string) => Buffer.from(data?.[key] ?? '', 'base64').toString('latin1');
  const leaf = new X509Certificate(pem('tls.crt'));
  assert.ok(leaf.checkPrivateKey(createPrivateKey(pem('tls.key'))), 'tls.key is not the key of tls.crt');
  const roots = pem('ca.crt').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  assert.ok(
    roots.map((root) => new X509Certificate(root)).some((root) => leaf.verify(root.publicKey)),
    'ca.crt does not verify tls.crt',
  );
  return {
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
