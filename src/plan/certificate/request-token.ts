import { annotations } from '../../api/constants.ts';
import type { MtlsCertificateStatus } from '../../api/types.ts';
import type { Role } from '../../pki/index.ts';
import type { CertificateRecord } from '../records/certificate-record.ts';
import { isOurs } from '../records/ownership.ts';
import type { SecretRecord } from '../records/secret-record.ts';

/** A request that an annotation makes for every Secret of a resource. */
export type RequestVerb = 'rotate' | 'revoke';

type SecretStatus = NonNullable<MtlsCertificateStatus['secrets']>[number];

const names = {
  rotate: { token: 'rotateToken', annotation: annotations.rotate, ofAll: 'lastHandledRotate', ofOne: 'handledRotate' },
  revoke: { token: 'revokeToken', annotation: annotations.revoke, ofAll: 'lastHandledRevoke', ofOne: 'handledRevoke' },
} as const;

/** The entry of a role in status. */
export const secretStatusOf = ({ status }: CertificateRecord, role: Role): SecretStatus | undefined =>
  status.secrets?.find((entry) => entry.role === role);

/** The token of a request that status does not yet report as handled for this role. Undefined when there is none. */
export function pendingToken(verb: RequestVerb, certificate: CertificateRecord, role: Role): string | undefined {
  const { token: name, ofAll, ofOne } = names[verb];
  const token = certificate[name];
  const isAnswered = token === certificate.status[ofAll] || token === secretStatusOf(certificate, role)?.[ofOne];
  return isAnswered ? undefined : token;
}

/**
 * True for a Secret whose annotation says that the operator wrote it for a pending request, before status recorded that. Anyone
 * who can write Secrets in the namespace can also write that annotation. So the annotation counts only next to a certificate that
 * was issued by a known root, is not in status, and has another key than the last certificate in status.
 */
export function mayFulfilRequest(
  verb: RequestVerb,
  certificate: CertificateRecord,
  role: Role,
  secret: SecretRecord | undefined,
): boolean {
  const token = pendingToken(verb, certificate, role);
  if (token === undefined || token !== secret?.annotations[names[verb].annotation]) return false;
  if (!isOurs(secret, certificate, role) || !('leaf' in secret.content)) return false;
  const { leaf } = secret.content;
  const known = secretStatusOf(certificate, role);
  const serials = known === undefined ? [] : [known, ...(known.replaced ?? [])].map((one) => one.serialNumber);
  return (
    leaf.root !== undefined && !serials.includes(leaf.serialNumber) && leaf.publicKey !== known?.publicKeyFingerprint
  );
}

/**
 * The field of status for the token that every Secret of the resource was issued for: the current token, or the
 * previous one.
 */
export function handledByAll(
  verb: RequestVerb,
  certificate: CertificateRecord,
  isAnswered: boolean,
): Pick<MtlsCertificateStatus, 'lastHandledRotate' | 'lastHandledRevoke'> {
  const { token, ofAll } = names[verb];
  const handled = isAnswered ? (certificate[token] ?? certificate.status[ofAll]) : certificate.status[ofAll];
  return handled === undefined ? {} : { [ofAll]: handled };
}

/**
 * The field in a Secret's status for the token that this Secret was issued for, while another Secret of the resource
 * was not.
 */
export function handledByOne(
  verb: RequestVerb,
  certificate: CertificateRecord,
  role: Role,
  { isAnswered, ofAll }: { readonly isAnswered: boolean; readonly ofAll: MtlsCertificateStatus },
): Pick<SecretStatus, 'handledRotate' | 'handledRevoke'> {
  const { token, ofAll: all, ofOne } = names[verb];
  const handled = (isAnswered ? certificate[token] : undefined) ?? secretStatusOf(certificate, role)?.[ofOne];
  return handled === undefined || handled === ofAll[all] ? {} : { [ofOne]: handled };
}
