import { annotations } from '../../api/constants.ts';
import { type GuardedClient, isKubeError, type Log, secrets as secretResource } from '../../kube/index.ts';
import { type CertificateRecord, isNamedInAnnotation, type OwnedSecret, type SecretRecord } from '../../plan/index.ts';

/** A Secret that the operator has deleted, and why, in words. */
export interface DeletedSecret {
  readonly secretName: string;
  readonly why: string;
}

export interface SecretDeleterOptions {
  readonly client: GuardedClient;
  readonly log: Log;
  /** Called when a Secret of a resource was deleted. */
  readonly onDeleted: (certificate: CertificateRecord, deleted: DeletedSecret) => void;
}

/** The one place from which the Secrets of certificates are deleted. Only a Secret that names itself is, and only as it was observed. */
export class SecretDeleter {
  readonly #options: SecretDeleterOptions;

  constructor(options: SecretDeleterOptions) {
    this.#options = options;
  }

  /** Deletes Secrets that no role wants any more. */
  async prune(certificate: CertificateRecord, surplus: readonly OwnedSecret[], signal: AbortSignal): Promise<void> {
    for (const secret of surplus) {
      await unlessChanged(this.delete(certificate, secret, 'because no role of the resource uses it', signal));
    }
  }

  /** Writes the annotation secret-name on Secrets that were written before it existed. */
  async mark(secrets: readonly OwnedSecret[], signal: AbortSignal): Promise<void> {
    for (const secret of secrets) await unlessChanged(this.#mark(secret, signal));
  }

  async #mark(secret: SecretRecord, signal: AbortSignal): Promise<SecretRecord> {
    const { namespace, name } = secret;
    const metadata = { ...asObserved(secret), annotations: { [annotations.secretName]: name } };
    const written = await this.#options.client.mergePatch(
      secretResource,
      { namespace, name },
      { metadata },
      { signal, metadataOnly: true },
    );
    return { ...secret, resourceVersion: written.metadata.resourceVersion };
  }

  /**
   * Deletes a Secret.
   * @throws KubeError: Conflict and NotFound mean that it is not as observed
   */
  async delete(certificate: CertificateRecord, secret: OwnedSecret, why: string, signal: AbortSignal): Promise<void> {
    const { client, log, onDeleted } = this.#options;
    const { namespace, name } = secret;
    const marked = isNamedInAnnotation(secret) ? secret : await this.#mark(secret, signal);
    await client.delete(secretResource, { namespace, name }, { ...asObserved(marked), signal });
    log.info('deleted a Secret', { namespace, secret: name, certificate: certificate.name, why });
    onDeleted(certificate, { secretName: name, why });
  }
}

/** The precondition that the Secret is still the one that was observed, in the same state. */
export const asObserved = ({ uid, resourceVersion }: SecretRecord) => ({ uid, resourceVersion });

/** A Secret that was changed or deleted meanwhile is left alone: its event queues the resource again. */
async function unlessChanged(write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (error) {
    if (!isKubeError(error, 'NotFound', 'Conflict')) throw error;
  }
}
