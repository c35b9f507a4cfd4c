import { type KubeClient, keyOf, type Secret, secrets as secretResource } from '../../kube/index.ts';
import {
  type CertificateRecord,
  canOwn,
  type ForeignSecret,
  type FoundSecret,
  isExamined,
  type Owned,
  type OwnedSecret,
  ownedBy,
} from '../../plan/index.ts';
import type { Caches } from '../cache/caches.ts';
import { readLastWriter } from '../objects/last-writer.ts';
import { foreignSecret, ownerIn } from '../objects/leaf-secret.ts';

interface SecretRef {
  readonly namespace: string;
  readonly name: string;
}

/** For how long a read for one resource serves other resources that name the same Secret. */
const sharedMs = 5000;
/** Limit of shared reads, because the metadata of each may take 30 KB. */
const mostShared = 256;

/** A read of a Secret's metadata. */
interface Reading {
  readonly beganMs: number;
  readonly found: Promise<ForeignSecret | undefined>;
}

/**
 * Finds the Secrets of resources. A Secret that the resource can own is read whole if it has not been examined yet. Of a foreign
 * Secret only the metadata is read, once for all resources that name it: that is enough to report the conflict.
 */
export class SecretFinder {
  readonly #client: Pick<KubeClient, 'find'>;
  readonly #caches: Caches;
  readonly #readings = new Map<string, Reading>();

  constructor(client: Pick<KubeClient, 'find'>, caches: Caches) {
    this.#client = client;
    this.#caches = caches;
  }

  /** The client other than the operator that changed a Secret last, for a message; undefined if managedFields do not show it. */
  lastWriter(namespace: string, name: string, signal: AbortSignal): Promise<string | undefined> {
    return readLastWriter(this.#client, secretResource, { namespace, name }, signal);
  }

  /**
   * Finds the Secret of this name: one that the resource can own, a foreign one, or none.
   * @param mayBeForeign ask the API server if the cache has no such Secret: it does not hold the Secrets of others
   */
  async find(
    certificate: CertificateRecord,
    name: string,
    mayBeForeign: boolean,
    signal: AbortSignal,
  ): Promise<FoundSecret> {
    const ref = { namespace: certificate.namespace, name };
    const cached = this.#caches.secrets.get(keyOf(ref));
    if (cached !== undefined && isExamined(cached)) return { secret: cached };
    if (cached !== undefined && canOwn(certificate, cached)) return this.#examine(certificate, ref, signal);
    return cached !== undefined || mayBeForeign ? this.#judge(certificate, ref, this.#shared(ref, signal), signal) : {};
  }

  /** As `find`, but always reads from the API server. */
  async findLive(certificate: CertificateRecord, name: string, signal: AbortSignal): Promise<FoundSecret> {
    const ref = { namespace: certificate.namespace, name };
    return this.#judge(certificate, ref, this.#read(ref, signal), signal);
  }

  /** The Secrets that a resource owns, except those with these names. */
  async ownedExcept(
    certificate: CertificateRecord,
    wanted: ReadonlySet<string>,
    signal: AbortSignal,
  ): Promise<OwnedSecret[]> {
    const owned: OwnedSecret[] = [];
    for (const secret of this.#caches.secretsOf(certificate)) {
      if (wanted.has(secret.name)) continue;
      const record = isExamined(secret) ? secret : await this.#ownedNow(certificate, secret, signal);
      if (record !== undefined) owned.push(record);
    }
    return owned;
  }

  async #ownedNow(certificate: CertificateRecord, { name }: SecretRef & Owned, signal: AbortSignal) {
    const { secret } = await this.#examine(certificate, { namespace: certificate.namespace, name }, signal);
    return secret && ownedBy(secret, certificate);
  }

  async #judge(
    certificate: CertificateRecord,
    ref: SecretRef,
    reading: Promise<ForeignSecret | undefined>,
    signal: AbortSignal,
  ): Promise<FoundSecret> {
    const found = await reading;
    if (found === undefined) return {};
    return canOwn(certificate, found) ? this.#examine(certificate, ref, signal) : { foreign: found };
  }

  async #examine(certificate: CertificateRecord, ref: SecretRef, signal: AbortSignal): Promise<FoundSecret> {
    const live: Secret | undefined = await this.#client.find(secretResource, ref, { signal });
    if (live === undefined) return {};
    const isForeign = !canOwn(certificate, ownerIn(live.metadata));
    return isForeign ? { foreign: foreignSecret(live) } : { secret: this.#caches.examiner.examine(live) };
  }

  #shared(ref: SecretRef, signal: AbortSignal): Promise<ForeignSecret | undefined> {
    const known = this.#readings.get(keyOf(ref));
    const isRecent = known !== undefined && this.#caches.monotonicMs() - known.beganMs < sharedMs;
    return isRecent ? known.found : this.#read(ref, signal);
  }

  #read(ref: SecretRef, signal: AbortSignal): Promise<ForeignSecret | undefined> {
    const key = keyOf(ref);
    const reading = { beganMs: this.#caches.monotonicMs(), found: this.#readMetadata(ref, signal) };
    this.#readings.delete(key);
    for (const [first, { beganMs }] of this.#readings) {
      if (this.#readings.size < mostShared && reading.beganMs - beganMs < sharedMs) break;
      this.#readings.delete(first);
    }
    this.#readings.set(key, reading);
    reading.found.catch(() => {
      // Only the resources that already wait get the error: the next resource reads again.
      if (this.#readings.get(key) === reading) this.#readings.delete(key);
    });
    return reading.found;
  }

  async #readMetadata(ref: SecretRef, signal: AbortSignal): Promise<ForeignSecret | undefined> {
    const found = await this.#client.find(secretResource, ref, { signal, metadataOnly: true });
    return found && foreignSecret(found);
  }
}
