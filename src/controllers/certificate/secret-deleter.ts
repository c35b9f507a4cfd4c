import { annotations } from '../../api/constants.ts';
import { type GuardedClient, isKubeError, type Log, secrets as secretResource } from '../../kube/index.ts';
import { type CertificateRecord, isNamedInAnnotation, type OwnedSecret, type SecretRecord } from '../../plan/index.ts';

/** A Secret that the operator deleted. */
export interface DeletedSecret {
  readonly secretName: string;
  /** Follows "Deleted Secret NAME" in a message. */
  readonly why: string;
}

export interface SecretDeleterOptions {
  readonly client: GuardedClient;
  readonly log: Log;
  readonly onDeleted: (certificate: CertificateRecord, deleted: DeletedSecret) => void;
}

/**
 * The only code that deletes Secrets of certificates. It deletes a Secret only with its own name in the annotation `secret-name`
 * and only at the revision that was observed.
 */
export class SecretDeleter {
  readonly #options: SecretDeleterOptions;

  constructor(options: SecretDeleterOptions) {
    this.#options = options;
  }

  /** Deletes Secrets that no role uses any more. */
  async prune(certificate: CertificateRecord, surplus: readonly OwnedSecret[], signal: AbortSignal): Promise<void> {
    for (const secret of surplus) {
      await unlessChanged(this.delete(certificate, secret, 'because no role of the resource uses it', signal));
    }
  }

  /** Adds the annotation `secret-name` to Secrets that are older than it. */
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
   * @throws KubeError Conflict or NotFound when the Secret has changed since it was observed
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

/** The precondition that the Secret has not changed since it was observed. */
export const asObserved = ({ uid, resourceVersion }: SecretRecord) => ({ uid, resourceVersion });

/** Ignores that another client changed or deleted the Secret meanwhile: the event of that change queues the resource again. */
async function unlessChanged(write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (error) {
    if (!isKubeError(error, 'NotFound', 'Conflict')) throw error;
  }
}
