import {
  type GuardedClient,
  KubeError,
  type Secret,
  type Served,
  secrets as secretResource,
} from '../../kube/index.ts';
import { keystorePasswordProblem } from '../../pki/index.ts';
import type { PasswordRef } from '../../plan/index.ts';

/** The existence and revision of a Secret that may hold a password. Its data is read when it is needed, and is never cached. */
export interface PasswordMark {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
}

/**
 * The field selector of the Secrets that may hold a password. It excludes the operator's own Secrets, and types that never hold
 * a password and may be large or numerous.
 */
export const passwordSelector = ['kubernetes.io/tls', 'kubernetes.io/service-account-token', 'helm.sh/release.v1']
  .map((type) => `type!=${type}`)
  .join(',');

export const passwordMark = ({ metadata }: Served<Secret>): PasswordMark => ({
  namespace: metadata.namespace ?? '',
  name: metadata.name,
  uid: metadata.uid ?? '',
  resourceVersion: metadata.resourceVersion,
});

/** Identifies a version of a password without its text. */
export const passwordVersion = ({ uid, resourceVersion }: PasswordMark, key: string): string =>
  `${uid}/${resourceVersion}/${key}`;

/**
 * Reads the password that was observed. Returns `problem` if it is missing or not a valid password.
 * @throws KubeError Conflict when the Secret has changed since it was observed
 */
export async function readKeystorePassword(
  client: GuardedClient,
  namespace: string,
  { secretName, key, version }: PasswordRef,
  signal: AbortSignal,
): Promise<{ readonly text: string } | { readonly problem: string }> {
  const secret = await client.find(secretResource, { namespace, name: secretName }, { signal });
  if (secret === undefined || passwordVersion(passwordMark(secret), key) !== version) {
    throw new KubeError('Conflict', 'the keystore password changed since it was observed');
  }
  const encoded = secret.data?.[key];
  if (encoded === undefined)
    return { problem: `Secret ${secretName} has no key ${key} for the keystore password; add the key` };
  // As latin1, so that every byte outside ASCII stays visible to the check.
  const text = Buffer.from(encoded, 'base64').toString('latin1');
  const problem = keystorePasswordProblem(text);
  if (problem === undefined) return { text };
  return { problem: `key ${key} of Secret ${secretName} is not a valid keystore password: ${problem}` };
}
