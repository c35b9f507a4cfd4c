import { keyOf } from '../../kube/index.ts';
import { belongsTo, byAge, type CertificateRecord, type ForeignSecret } from '../../plan/index.ts';
import type { Caches } from '../cache/caches.ts';

/** Decides which resource a Secret's name belongs to, so that of several claimants at most one ever writes. */
export class SecretNameOwnership {
  readonly #caches: Pick<Caches, 'claimants' | 'authorities'>;
  readonly #rootNamespace: string;

  /** @param rootNamespace where the names of root Secrets belong to authorities */
  constructor(caches: Pick<Caches, 'claimants' | 'authorities'>, rootNamespace: string) {
    this.#caches = caches;
    this.#rootNamespace = rootNamespace;
  }

  /**
   * Who has the name instead of the resource, in words; undefined when it is the resource's own. The resource that the
   * Secret belongs to keeps it; a Secret that is not there goes to the oldest claimant that is not being deleted, by creation, then UID.
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

/** What a Secret says of its owner. */
type WhoseSecret = Pick<ForeignSecret, 'namespace' | 'controller' | 'owner' | 'ownerName'>;
