import { keyOf } from '../kube/index.ts';
import type { CertificateRecord, SecretRecord } from '../plan/index.ts';

/** What claims are decided from. */
export interface ClaimSources {
  /** The MtlsCertificates that name a Secret, by `namespace/name` of the Secret. */
  readonly claimants: (secretKey: string) => readonly CertificateRecord[];
  /** The MtlsAuthority whose root Secret has this key, if there is one. */
  readonly authorityOf: (secretKey: string) => string | undefined;
}

/** Decides which resource a Secret's name belongs to, so that of several claimants at most one ever writes. */
export class Claims {
  readonly #sources: ClaimSources;

  constructor(sources: ClaimSources) {
    this.#sources = sources;
  }

  /**
   * Who has the name instead of the resource, in words; undefined when it is the resource's own. Whoever controls the
   * Secret keeps it; a Secret that is not there goes to the oldest claimant, by creation, then UID.
   */
  holder(certificate: CertificateRecord, secretName: string, secret: SecretRecord | undefined): string | undefined {
    const secretKey = keyOf({ namespace: certificate.namespace, name: secretName });
    const authority = this.#sources.authorityOf(secretKey);
    if (authority !== undefined) return `MtlsAuthority ${authority}`;
    if (secret?.owner === certificate.uid) return undefined;
    const claimants = this.#sources.claimants(secretKey);
    const owner = claimants.find(({ uid }) => uid === secret?.owner);
    const first = owner ?? claimants.reduce((a, b) => (isOlder(b, a) ? b : a), certificate);
    return first.uid === certificate.uid ? undefined : `MtlsCertificate ${first.name}`;
  }
}

const isOlder = (a: CertificateRecord, b: CertificateRecord): boolean =>
  a.creationTimestamp === b.creationTimestamp ? a.uid < b.uid : a.creationTimestamp < b.creationTimestamp;
