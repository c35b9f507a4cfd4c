import { type KubeObject, keyOf, type Secret, type Store } from '../../kube/index.ts';
import type { Certificate } from '../../pki/index.ts';
import { type CachedSecret, type CertificateRecord, canOwn, isExamined, type SecretRecord } from '../../plan/index.ts';
import { knownContent, ownerIn, secretMark, secretRecord, secretRecordInPool } from '../objects/leaf-secret.ts';

/** The caches that the examiner reads. */
interface KnownSecrets {
  readonly certificates: Pick<Store<CertificateRecord>, 'get'>;
  readonly secrets: Pick<Store<CachedSecret>, 'get' | 'refine'>;
  withChangeTime<T extends CachedSecret>(record: T): T;
}

/**
 * Decides which Secrets are examined. Any user can write a Secret with the operator's labels, so the certificates and the key
 * in it are parsed only when an existing resource can own it, and once for each content. Of every other Secret the cache keeps
 * a mark.
 *
 * A Secret may arrive before its resource. The reconcile of the resource then reads the Secret again.
 */
export class SecretExaminer {
  readonly #known: KnownSecrets;
  readonly #roots: () => readonly Certificate[];

  /** @param roots returns the roots that are known now and may have signed leaves */
  constructor(known: KnownSecrets, roots: () => readonly Certificate[]) {
    this.#known = known;
    this.#roots = roots;
  }

  /** The record or mark of a Secret. A very large Secret gets a mark: the reconcile of its resource reads it whole. */
  read(secret: Secret): CachedSecret {
    return this.#isExamined(secret) ? this.#examine(secret) : this.#known.withChangeTime(secretMark(secret));
  }

  /** As `read`, for a list of many Secrets: most of the work runs in the thread pool, outside the event loop. */
  async readInPool(secret: Secret): Promise<CachedSecret> {
    const isNew = this.#isExamined(secret) && this.#contentOf(secret) === undefined;
    return isNew ? this.#known.withChangeTime(await secretRecordInPool(secret, this.#roots())) : this.read(secret);
  }

  /** Examines a Secret that a resource can own. Its record replaces the mark in the cache. */
  examine(secret: Secret): SecretRecord {
    const { secrets } = this.#known;
    // A Secret that is not in the cache has lost the operator's labels: another writer has removed them.
    const isLabelled = secrets.get(keyOf(secret.metadata)) !== undefined;
    const record = this.#examine(secret);
    if (!isLabelled) return { ...record, modifiedByOthers: true };
    secrets.refine(record);
    return record;
  }

  #examine(secret: Secret): SecretRecord {
    return this.#known.withChangeTime(secretRecord(secret, this.#roots(), this.#contentOf(secret)));
  }

  #isExamined(secret: Secret): boolean {
    return secret.isPartial !== true && this.canBeOwned(secret);
  }

  /** The content that was parsed before from the same data. */
  #contentOf(secret: Secret) {
    return knownContent(secret, this.#known.secrets.get(keyOf(secret.metadata)));
  }

  /** True for a Secret that a known resource can own. Only its metadata is read. */
  canBeOwned({ metadata }: KubeObject): boolean {
    const claim = ownerIn(metadata);
    const { namespace, ownerName } = claim;
    if (ownerName === undefined) return false;
    const owner = this.#known.certificates.get(keyOf({ namespace, name: ownerName }));
    return owner !== undefined && canOwn(owner, claim);
  }
}

/** The record of a Secret if it was examined. */
export const examined = (secret: CachedSecret | undefined): SecretRecord | undefined =>
  secret !== undefined && isExamined(secret) ? secret : undefined;
