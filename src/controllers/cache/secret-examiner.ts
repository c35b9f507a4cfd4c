import { type KubeObject, keyOf, type Secret, type Store } from '../../kube/index.ts';
import type { Certificate } from '../../pki/index.ts';
import { type CachedSecret, type CertificateRecord, canOwn, isExamined, type SecretRecord } from '../../plan/index.ts';
import { knownContent, ownerIn, secretMark, secretRecord, secretRecordInPool } from '../objects/leaf-secret.ts';

/** What the examiner knows of the cluster. */
interface KnownSecrets {
  readonly certificates: Pick<Store<CertificateRecord>, 'get'>;
  readonly secrets: Pick<Store<CachedSecret>, 'get' | 'refine'>;
  withChangeTime<T extends CachedSecret>(record: T): T;
}

/**
 * Decides which Secrets are examined. Anybody can write a Secret with the operator's labels, so its certificates and key are
 * read only when a resource that exists can own it, and once for each content. Of every other Secret a mark is kept.
 *
 * The resource may become known after its Secret: then the reconcile of the resource has the Secret read again.
 */
export class SecretExaminer {
  readonly #known: KnownSecrets;
  readonly #roots: () => readonly Certificate[];

  /** @param roots the roots that may have signed leaves, as far as they are known now */
  constructor(known: KnownSecrets, roots: () => readonly Certificate[]) {
    this.#known = known;
    this.#roots = roots;
  }

  /** What the cache keeps of a Secret. A very large one is read by the reconcile of its resource, when it is its turn. */
  read(secret: Secret): CachedSecret {
    return this.#isExamined(secret) ? this.#examine(secret) : this.#known.withChangeTime(secretMark(secret));
  }

  /** The same for one of many: most of the work goes on beside the event loop. */
  async readInPool(secret: Secret): Promise<CachedSecret> {
    const isNew = this.#isExamined(secret) && this.#contentOf(secret) === undefined;
    return isNew ? this.#known.withChangeTime(await secretRecordInPool(secret, this.#roots())) : this.read(secret);
  }

  /** The record of a Secret that a resource can own. The cache takes it in, in place of a mark. */
  examine(secret: Secret): SecretRecord {
    const { secrets } = this.#known;
    // Without the labels of the operator the cache does not hold it: another writer has taken them off.
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

  /** What was read from the same data before. */
  #contentOf(secret: Secret) {
    return knownContent(secret, this.#known.secrets.get(keyOf(secret.metadata)));
  }

  /** True for a Secret that a known resource can own. Its metadata say so. */
  canBeOwned({ metadata }: KubeObject): boolean {
    const claim = ownerIn(metadata);
    const { namespace, ownerName } = claim;
    if (ownerName === undefined) return false;
    const owner = this.#known.certificates.get(keyOf({ namespace, name: ownerName }));
    return owner !== undefined && canOwn(owner, claim);
  }
}

/** The record of a Secret, when it was examined. */
export const examined = (secret: CachedSecret | undefined): SecretRecord | undefined =>
  secret !== undefined && isExamined(secret) ? secret : undefined;
