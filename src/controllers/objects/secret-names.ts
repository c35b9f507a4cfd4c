import { keyOf } from '../../kube/index.ts';
import {
  type CachedSecret,
  type CertificateRecord,
  defaultSecretName,
  roles,
  rolesOf,
  secretNameOf,
} from '../../plan/index.ts';

/** The Secrets that a resource names, as `namespace/name`. */
export function secretKeysOf({ namespace, name, spec }: CertificateRecord): string[] {
  return rolesOf(spec).map((role) => keyOf({ namespace, name: secretNameOf(name, spec, role) }));
}

/**
 * The Secrets that spec names explicitly, as `namespace/name`. Only these need an index: a default name leads from the Secret to
 * its resource and back.
 */
export function chosenSecretKeysOf({ namespace, spec }: CertificateRecord): string[] {
  return roles.flatMap((role) => {
    const name = spec[role]?.secretName;
    return name === undefined ? [] : [keyOf({ namespace, name })];
  });
}

/** The resource for which this Secret name is the default. Accepts and returns a name or `namespace/name`. */
export function namesakeOf(secretName: string): string | undefined {
  const ending = defaultEndings.find((one) => secretName.endsWith(one));
  return ending === undefined ? undefined : secretName.slice(0, -ending.length);
}
const defaultEndings = roles.map((role) => defaultSecretName('', role));

/** The default Secret names of a resource, as `namespace/name`. Such a Secret may belong to another owner. */
export const defaultSecretKeysOf = ({ namespace, name }: CertificateRecord): string[] =>
  roles.map((role) => keyOf({ namespace, name: defaultSecretName(name, role) }));

/** The resource that owns a Secret, as `namespace/name`; empty if the Secret's default name already leads to it. */
export const ownerUnlessNamesake = ({ namespace, name, ownerName }: CachedSecret): string[] =>
  ownerName === undefined || namesakeOf(name) === ownerName ? [] : [keyOf({ namespace, name: ownerName })];
