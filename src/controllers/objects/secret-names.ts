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

// A Secret whose name was given by default leads to its resource by that name, and back. Only the others need an index.

/** Those of them that spec itself names. */
export function chosenSecretKeysOf({ namespace, spec }: CertificateRecord): string[] {
  return roles.flatMap((role) => {
    const name = spec[role]?.secretName;
    return name === undefined ? [] : [keyOf({ namespace, name })];
  });
}

/** The resource to which a Secret's name, or `namespace/name`, belongs by default; undefined when it belongs to none so. */
export function namesakeOf(secretName: string): string | undefined {
  const ending = defaultEndings.find((one) => secretName.endsWith(one));
  return ending === undefined ? undefined : secretName.slice(0, -ending.length);
}
const defaultEndings = roles.map((role) => defaultSecretName('', role));

/** The Secrets that have the name of a resource by default, as `namespace/name`, whoever they belong to. */
export const defaultSecretKeysOf = ({ namespace, name }: CertificateRecord): string[] =>
  roles.map((role) => keyOf({ namespace, name: defaultSecretName(name, role) }));

/** The resource that a Secret belongs to, as `namespace/name`, where the name of the Secret does not lead to it. */
export const ownerUnlessNamesake = ({ namespace, name, ownerName }: CachedSecret): string[] =>
  ownerName === undefined || namesakeOf(name) === ownerName ? [] : [keyOf({ namespace, name: ownerName })];
