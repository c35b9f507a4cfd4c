import { annotations, labels } from '../../../../src/api/constants.ts';
import { type Role } from '../../../../src/pki/index.ts';
import type { IssueReason, SecretStep } from '../../../../src/plan/index.ts';
import { type CertificateFixture, requestOf } from '../../../support/fixtures/certificate.ts';

export const keep: SecretStep = { step: 'keep' };
export const blocked = (
  reason: Extract<SecretStep, { step: 'blocked' }>['reason'],
  message: string,
  { canWait = false, ...more }: { canWait?: boolean; awaitsCrl?: true } = {},
): SecretStep => ({ step: 'blocked', reason, message, canWait, ...more });

/** The variable parts of the metadata that a step writes. */
export interface Marks {
  readonly role?: Role;
  readonly revision?: number;
  readonly token?: string;
  readonly labels?: Record<string, string | null>;
  /** The patch of the annotation `template` and of the keys that it lists. */
  readonly annotations?: Record<string, string | null>;
}

/** The metadata of an existing Secret whose resource has no template. */
export const marks = ({ role = 'server', revision = 1, token, ...more }: Marks = {}) => ({
  labels: {
    ...more.labels,
    [labels.managedBy]: 'mtls-operator',
    [labels.certificate]: 'payments',
    [labels.role]: role,
  },
  annotations: {
    ...(more.annotations ?? { [annotations.template]: null }),
    [annotations.secretName]: `payments-${role}-tls`,
    [annotations.revision]: String(revision),
    ...(token === undefined ? {} : { [annotations.rotate]: token }),
  },
});

export const update = (changes?: Marks): SecretStep => ({ step: 'update', metadata: marks(changes) });

export const messages: Record<
  Exclude<IssueReason, 'SecretCorrupted' | 'SecretImmutable' | 'SpecChanged' | 'Expired' | 'RenewalDue'>,
  string
> = {
  SecretMissing: 'the Secret does not exist',
  RootNotTrusted: 'the certificate does not chain to a trusted root of the authority',
  RevocationRequested: 'the annotation revoke has a new value',
  RotationRequested: 'the annotation rotate has a new value',
  RootReplaced: 'the root was rotated: another root signs now',
  IssuerKeyMissing: 'the CRL that lists certificates of this issuer cannot be renewed',
};
export const changed = {
  profile: 'names, subject or usages of the certificate differ from spec',
  key: 'the private key differs from spec in algorithm, size or encoding',
  duration: 'the lifetime of the certificate differs from spec.duration',
  outlives: 'the certificate outlives its root',
};

/** The denial of a DNS name for a server in namespace shop. */
export const deniedName = (name: string): string =>
  `DNS name "${name}": namespace shop may have only names of its own Services (<service>, <service>.shop, ` +
  '<service>.shop.svc, <service>.shop.svc.cluster.local, and names below the last two) and names that issuance.allow of ' +
  'MtlsAuthority default grants';
/** The part of the message about a current certificate that was just issued for 90 days. */
export const stays =
  '; the certificate in Secret payments-server-tls stays valid until 2026-05-30T12:00:00Z but is not renewed';

export type Issue = Extract<SecretStep, { step: 'issue' }>;

/** The second certificate of a fixture's role. */
export const issue = (
  given: CertificateFixture,
  reason: IssueReason,
  message: string,
  { keepKey = false, write = 'update', ...more }: Marks & Partial<Pick<Issue, 'keepKey' | 'write'>> = {},
): Issue => ({
  step: 'issue',
  reason,
  message,
  request: requestOf(given.record, more.role ?? 'server'),
  keepKey,
  write,
  metadata: marks({ revision: 2, ...more }),
});

/** The first certificate of a role, in a new Secret. */
export const create = (given: CertificateFixture, more: Marks = {}): Issue =>
  issue(given, 'SecretMissing', messages.SecretMissing, { revision: 1, annotations: {}, write: 'create', ...more });
