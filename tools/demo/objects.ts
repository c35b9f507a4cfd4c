import { X509Certificate } from 'node:crypto';

import type { MtlsAuthority, MtlsCertificate } from '../../src/api/types.ts';
import { authorities, certificates } from '../../src/controllers/objects/resources.ts';
import {
  type ConnectionOptions,
  KubeClient,
  type KubeObject,
  loadConnection,
  Reflector,
  type Resource,
  type Secret,
  Store,
  secrets,
  silentLog,
} from '../../src/kube/index.ts';
import { SHOP } from './footprint.ts';
import { holderOf } from './identity.ts';
import type { Row } from './screen.ts';

/** The current objects of the cluster, from watches. */
export interface Objects {
  authority(name: string): MtlsAuthority | undefined;
  certificate(name: string): MtlsCertificate | undefined;
  secret(name: string): Secret | undefined;
  /** Calls back for every Secret of the namespace, and for each change. */
  onSecret(listener: (secret: Secret) => void): void;
  /** One line for each object. */
  rows(): Row[];
}

interface Followed<T> {
  readonly namespace?: string | undefined;
  readonly name: string;
  readonly resourceVersion: string;
  readonly object: T;
}

/** Watches the authorities, and the certificates and Secrets in the namespace of the examples. */
export async function followObjects(connection: ConnectionOptions, cleanup: AsyncDisposableStack): Promise<Objects> {
  const client = new KubeClient(await loadConnection(connection), { userAgent: 'mtls-operator-demo/0.1.0' });
  const over = new AbortController();
  const runs: Promise<void>[] = [];
  cleanup.defer(async () => {
    over.abort();
    await Promise.all(runs);
    await client.close();
  });

  const follow = async <T extends KubeObject>(
    resource: Resource<T>,
    labelSelector?: string,
  ): Promise<Store<Followed<T>>> => {
    const store = new Store<Followed<T>>();
    const reflector = new Reflector({
      client,
      resource,
      store,
      labelSelector,
      namespace: resource.namespaced ? SHOP : undefined,
      transform: (object) => ({ ...object.metadata, object }),
      log: silentLog,
    });
    runs.push(reflector.run(over.signal));
    await reflector.synced;
    return store;
  };
  const [authorityStore, certificateStore, secretStore] = await Promise.all([
    follow(authorities),
    follow(certificates),
    follow(secrets, 'app.kubernetes.io/managed-by=mtls-operator'),
  ]);

  return {
    authority: (name) => authorityStore.get(name)?.object,
    certificate: (name) => certificateStore.get(`${SHOP}/${name}`)?.object,
    secret: (name) => secretStore.get(`${SHOP}/${name}`)?.object,
    onSecret(listener) {
      for (const { object } of secretStore.values()) listener(object);
      secretStore.subscribe((_, after) => after !== undefined && listener(after.object));
    },
    rows: () => [
      ...[...authorityStore.values()].map(({ name, object }) => authorityRow(name, object)),
      ...[...certificateStore.values()].map(({ name, object }) => certificateRow(name, object)),
      ...[...secretStore.values()].map(({ name, object }) => secretRow(name, object)),
    ],
  };
}

/** The condition Ready of an authority or a certificate. */
export const readyCondition = ({ status }: MtlsAuthority | MtlsCertificate) =>
  status?.conditions?.find(({ type }) => type === 'Ready');

/** The leaf in a Secret. Throws when the Secret has none. */
export const leafOf = (secret: Secret): X509Certificate =>
  new X509Certificate(Buffer.from(secret.data?.['tls.crt'] ?? '', 'base64'));

/** The first six bytes of a serial number or fingerprint: enough to distinguish two. */
export const short = (hex: string): string => `${hex.slice(0, 12)}…`;

const day = (time: string | undefined): string => time?.slice(0, 10) ?? '';

function authorityRow(name: string, authority: MtlsAuthority): Row {
  const { fingerprint = '', notAfter } = authority.status?.activeRoot ?? {};
  return row(`mauth/${name}`, authority, `root ${short(fingerprint)}, until ${day(notAfter)}`);
}

function certificateRow(name: string, certificate: MtlsCertificate): Row {
  const { notAfter, renewalTime } = certificate.status ?? {};
  return row(`mcert/${name}`, certificate, `until ${day(notAfter)}, renewal ${day(renewalTime)}`);
}

function row(subject: string, object: MtlsAuthority | MtlsCertificate, detail: string): Row {
  const ready = readyCondition(object);
  if (ready === undefined || ready.status === 'Unknown') return { state: 'waiting', text: columns(subject, 'Pending') };
  if (ready.status === 'True') return { state: 'good', text: columns(subject, 'Ready', detail) };
  return { state: 'bad', text: columns(subject, ready.reason, ready.message) };
}

function secretRow(name: string, secret: Secret): Row {
  try {
    const { names, serial } = holderOf(leafOf(secret));
    return { state: 'good', text: columns(`secret/${name}`, `serial ${short(serial)}`, names.at(-1)) };
  } catch {
    return { state: 'bad', text: columns(`secret/${name}`, 'no valid certificate') };
  }
}

const columns = (subject: string, state: string, detail = ''): string =>
  `${subject.padEnd(27)} ${state.padEnd(8)} ${detail}`.trimEnd();
