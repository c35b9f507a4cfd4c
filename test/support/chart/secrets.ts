import type { Api, Secret } from '../api.ts';

/** The Secrets of certificates and roots, with the version that each write changes: by `namespace/name`. */
export type SecretVersions = Readonly<Record<string, string>>;

/** All Secrets, without those in which Helm stores its releases. */
export async function secretVersions(api: Api): Promise<SecretVersions> {
  const secrets = await api.list<Secret>('/api/v1/secrets');
  return Object.fromEntries(
    secrets
      .filter(({ type }) => type === 'kubernetes.io/tls')
      .map(({ metadata: { namespace, name, uid, resourceVersion } }) => [
        `${namespace}/${name}`,
        `${uid}, version ${resourceVersion}`,
      ]),
  );
}
