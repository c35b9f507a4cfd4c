import { keyOf } from '../../kube/index.ts';
import { belongsTo, byAge, type CertificateRecord, type ForeignSecret } from '../../plan/index.ts';
import type { Caches } from '../cache/caches.ts';

/** Decides which resource owns a Secret's name. Of several claimants, at most one ever writes. */
export class SecretNameOwnership {
  readonly #caches: Pick<Caches, 'claimants' | 'authorities'>;
  readonly #rootNamespace: string;

  /** @param rootNamespace the operator's namespace, where the names of root Secrets belong to authorities */
  constructor(caches: Pick<Caches, 'claimants' | 'authorities'>, rootNamespace: string) {
    this.#caches = caches;
    this.#rootNamespace = rootNamespace;
  }

  /**
   * The kind and name of another object that owns the Secret's name; undefined when this resource owns it. The owner of an
   * existing Secret keeps the name. If there is no Secret, the oldest claimant that is not being deleted gets it (by creation
   * time, then UID).
   */
  holder(certificate: CertificateRecord, secretName: string, secret: WhoseSecret | undefined): string | undefined {
    const { authorities } = this.#caches;
    const authority =
      certificate.namespace === this.#rootNamespace ? authorities.by('rootSecret', secretName)[0] : undefined;
    if (authority !== undefined) return `MtlsAuthority ${authority.name}`;
    if (secret !== undefined && belongsTo(secret, certificate)) return undefined;
    const claimants = this.#caches.claimants(keyOf({ namespace: certificate.namespace, name: secretName }));
    const owner = secret && claimants.find((claimant) => belongsTo(secret, claimant));
    const first =
      owner ?? claimants.filter(({ deleting }) => !deleting).reduce((a, b) => (byAge(b, a) < 0 ? b : a), certificate);
    return first.uid === certificate.uid ? undefined : `MtlsCertificate ${first.name}`;
  }
}

/** The metadata that identifies the owner of a Secret. */
type WhoseSecret = Pick<ForeignSecret, 'namespace' | 'controller' | 'owner' | 'ownerName'>;
