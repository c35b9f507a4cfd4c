import type { MtlsCertificateSpec } from '../../api/types.ts';
import type { Role } from '../../pki/index.ts';

export const roles: readonly Role[] = ['server', 'client', 'peer'];

/** The name of a role's Secret: from spec, or the default. */
export const secretNameOf = (certificateName: string, spec: MtlsCertificateSpec, role: Role): string =>
  spec[role]?.secretName ?? defaultSecretName(certificateName, role);

/** The default name of a role's Secret. */
export const defaultSecretName = (certificateName: string, role: Role): string => `${certificateName}-${role}-tls`;

export const rolesOf = (spec: MtlsCertificateSpec): Role[] => roles.filter((role) => spec[role] !== undefined);
