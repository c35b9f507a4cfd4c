import { type Api, paths, type Secret } from '../api.ts';

/** The Secrets of certificates and roots, with the version that each write changes: by `namespace/name`. */
export type SecretVersions = Readonly<Record<string, string>>;

/** The Secrets in these namespaces, without those in which Helm stores its releases. */
export async function secretVersions(api: Api, namespaces: readonly string[]): Promise<SecretVersions> {
  const lists = namespaces.map((namespace) => api.list<Secret>(paths.secrets(namespace)));
  const secrets = (await Promise.all(lists)).flat();
  return Object.fromEntries(
    secrets
      .filter(({ type }) => type === 'kubernetes.io/tls')
      .map(({ metadata: { namespace, name, uid, resourceVersion } }) => [
        `${namespace}/${name}`,
        `${uid}, version ${resourceVersion}`,
      ]),
  );
}
