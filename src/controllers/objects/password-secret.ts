import {
  type GuardedClient,
  KubeError,
  type Secret,
  type Served,
  secrets as secretResource,
} from '../../kube/index.ts';
import { keystorePasswordProblem } from '../../pki/index.ts';
import type { PasswordRef } from '../../plan/index.ts';

/** A Secret that may hold a password exists at a revision; what it holds is read when it is needed, and not kept. */
export interface PasswordMark {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
}

/**
 * The field selector of the Secrets that may hold a password. It leaves out what the operator writes itself, and what is
 * never a password and may be large or many.
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

/** What tells one password from another without knowing either. */
export const passwordVersion = ({ uid, resourceVersion }: PasswordMark, key: string): string =>
  `${uid}/${resourceVersion}/${key}`;

/**
 * Reads the password that was observed, or says why it cannot be one.
 * @throws KubeError: Conflict when it has changed since
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
  // Octets that are no ASCII are no password, whatever text they may be.
  const text = Buffer.from(encoded, 'base64').toString('latin1');
  const problem = keystorePasswordProblem(text);
  if (problem === undefined) return { text };
  return { problem: `key ${key} of Secret ${secretName} is not a valid keystore password: ${problem}` };
}
