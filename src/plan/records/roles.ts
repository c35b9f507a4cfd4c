import type { MtlsCertificateSpec } from '../../api/types.ts';
import type { Role } from '../../pki/index.ts';

/** The roles, in the order in which they are planned and shown. */
export const roles: readonly Role[] = ['server', 'client', 'peer'];

/** The Secret of a role: the one that spec names, or the default. */
export const secretNameOf = (certificateName: string, spec: MtlsCertificateSpec, role: Role): string =>
  spec[role]?.secretName ?? defaultSecretName(certificateName, role);

/** The Secret of a role that names none. */
export const defaultSecretName = (certificateName: string, role: Role): string => `${certificateName}-${role}-tls`;

/** The roles that a spec asks for. */
export const rolesOf = (spec: MtlsCertificateSpec): Role[] => roles.filter((role) => spec[role] !== undefined);
