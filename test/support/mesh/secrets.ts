import { labels } from '../../../src/api/constants.ts';
import { type Api, paths, type Secret } from '../api.ts';
import { secretFiles } from '../peers/index.ts';
import type { Role } from './mesh.ts';
import type { SecretState } from './mount.ts';

/** A state of the Secret for one role of an MtlsCertificate. */
export interface RoleSecret extends SecretState {
  readonly namespace: string;
  readonly certificate: string;
  readonly role: Role;
  readonly resourceVersion: string;
}

type Stamped = Secret & { readonly metadata: { readonly managedFields?: readonly { readonly time?: string }[] } };

/** The Secrets of MtlsCertificates in these namespaces. */
export async function roleSecrets(api: Api, namespaces: readonly string[]): Promise<readonly RoleSecret[]> {
  const lists = await Promise.all(namespaces.map((namespace) => api.list<Stamped>(paths.secrets(namespace))));
  return lists.flat().flatMap((secret) => roleSecret(secret) ?? []);
}

/** Calls back with every state of these Secrets, starting with the current ones, until the API client is closed. */
export async function followRoleSecrets(
  api: Api,
  namespaces: readonly string[],
  onState: (secret: RoleSecret) => void,
): Promise<void> {
  await api.watch<Stamped>('/api/v1/secrets', ({ type, object }) => {
    if (type === 'DELETED' || !namespaces.includes(object.metadata.namespace ?? '')) return;
    const secret = roleSecret(object);
    if (secret !== undefined) onState(secret);
  });
}

function roleSecret(secret: Stamped): RoleSecret | undefined {
  const { namespace = '', labels: marks, resourceVersion, managedFields = [] } = secret.metadata;
  const [certificate, role] = [marks?.[labels.certificate], marks?.[labels.role]];
  if (certificate === undefined || (role !== 'server' && role !== 'client')) return undefined;
  // The time stamp of the API server, in whole seconds: the write may have been up to one second later.
  const writtenAt = Math.max(...managedFields.map(({ time = 0 }) => new Date(time).getTime()));
  return { namespace, certificate, role, resourceVersion, files: secretFiles(secret), writtenAt };
}
