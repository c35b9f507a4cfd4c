import { crlKey } from '../../api/constants.ts';
import type { TrustConfigMap } from '../../api/types.ts';
import { encodePublicTruststore, type TrustBundle } from '../../pki/index.ts';
import type { RootState } from '../certificate/authority-state.ts';
import type { AuthorityRecord } from '../records/authority-record.ts';
import type { MetadataTemplate } from '../records/metadata-template.ts';
import { type Truststore, trustMetadata, trustMetadataDigest } from './trust-metadata.ts';

/** What an object with a published bundle should hold. */
export interface TrustContent {
  readonly authority: string;
  readonly bundle: { readonly pem: string; readonly digest: string };
  /** Absent when there are no CRLs, or when this kind of object holds none. */
  readonly crl?: { readonly pem: string; readonly digest: string };
  readonly truststore?: Truststore;
  readonly template?: MetadataTemplate;
  /** See trustMetadataDigest. */
  readonly metadata: string;
  /** The keys of data that are left out because the object would become too large. */
  readonly omitted: readonly string[];
}

/**
 * The most that the operator writes into the data of a ConfigMap, as JSON. The API server accepts 1 MiB, and the caches read of a
 * larger object only the metadata, which may have 64 KiB here.
 */
export const mostContentKiB = 960;

/** The content of an authority's ConfigMaps. Undefined while the root may not sign or has not been read yet. */
export function configMapContent(authority: AuthorityRecord, state: RootState): TrustContent | undefined {
  if (state.state !== 'ready') return undefined;
  const configMap = authority.spec.trustBundle?.configMap;
  const known = contents.get(state);
  if (known !== undefined && known.configMap === configMap && known.content.authority === authority.name) {
    return known.content;
  }
  const content = withinLimit(authority.name, state, configMap);
  contents.set(state, { configMap, content });
  return content;
}

/** The content of an authority's ClusterTrustBundle. Undefined as in configMapContent. */
export const clusterTrustBundleContent = ({ name }: AuthorityRecord, state: RootState): TrustContent | undefined =>
  state.state === 'ready' ? withMetadata(name, { bundle: state.bundle }, []) : undefined;

/** The last content for each state: thousands of targets share it. */
const contents = new WeakMap<
  RootState,
  { readonly configMap: TrustConfigMap | undefined; readonly content: TrustContent }
>();

type Parts = Omit<TrustContent, 'authority' | 'metadata' | 'omitted'>;

/**
 * Leaves out what does not fit: first the truststore, because a program that needs it fails and is noticed; then the CRLs,
 * because a program without them may accept a revoked certificate. The roots stay in any case.
 */
function withinLimit(
  authority: string,
  { bundle, crl }: Extract<RootState, { state: 'ready' }>,
  configMap: TrustConfigMap | undefined,
): TrustContent {
  const truststore = configMap?.truststore && truststoreOf(bundle, configMap.truststore);
  const { labels, annotations } = configMap ?? {};
  const template = labels === undefined && annotations === undefined ? {} : { template: { labels, annotations } };
  const parts = { bundle, ...template };
  const whole = {
    ...parts,
    ...(crl === undefined ? {} : { crl }),
    ...(truststore === undefined ? {} : { truststore }),
  };
  if (fits(whole)) return withMetadata(authority, whole, []);
  const omitted = truststore === undefined ? [] : [truststore.key];
  const withoutTruststore = { ...parts, ...(crl === undefined ? {} : { crl }) };
  if (crl === undefined || fits(withoutTruststore)) return withMetadata(authority, withoutTruststore, omitted);
  return withMetadata(authority, parts, [...omitted, crlKey]);
}

const fits = ({ bundle, crl, truststore }: Parts): boolean =>
  jsonSize(bundle.pem) + jsonSize(crl?.pem) + (truststore?.base64.length ?? 0) <= mostContentKiB * 1024;

/** The length of a PEM text in JSON, where a line break takes two characters. */
const jsonSize = (pem = ''): number => pem.length + (pem.match(/\n/g)?.length ?? 0);

const withMetadata = (authority: string, parts: Parts, omitted: readonly string[]): TrustContent => ({
  authority,
  ...parts,
  metadata: trustMetadataDigest(trustMetadata({ authority, ...parts })),
  omitted,
});

interface Encoded {
  readonly password: string;
  readonly base64: string;
}

/** The last truststore of each bundle: its encryption takes milliseconds. */
const truststores = new WeakMap<TrustBundle, Encoded>();

function truststoreOf(bundle: TrustBundle, { key, password }: NonNullable<TrustConfigMap['truststore']>): Truststore {
  const known = truststores.get(bundle);
  if (known?.password === password) return { key, base64: known.base64 };
  const base64 = encodePublicTruststore([...bundle.roots, ...bundle.additional], password).toString('base64');
  truststores.set(bundle, { password, base64 });
  return { key, base64 };
}
