import { labels, managerName } from '../../api/constants.ts';
import type { AdditionalRoots } from '../../api/types.ts';
import { configMaps, type GuardedClient, isKubeError, type ObjectMeta, secrets } from '../../kube/index.ts';
import { type OfferedRoot, PkiError, readOfferedRoots } from '../../pki/index.ts';
import { type AuthorityRecord, type ObservedSource, type ObservedSources, parseDurationMs } from '../../plan/index.ts';
import { type Caches, type SourceKind, sourceOf } from '../cache/caches.ts';
import { dataText } from '../objects/secret-data.ts';

/** The content of a source at one revision. */
interface Content extends Pick<ObservedSource, 'roots' | 'problem'> {
  /** The resourceVersion of the object; empty if it did not exist. */
  readonly version: string;
  /** Equal for equal content. */
  readonly identity: string;
}

/** What the operator last read of a source, and what it uses of it. */
interface Known {
  readonly latest: Content;
  readonly used: Content;
  /** Since when a source that was in use is missing, in monotonic milliseconds. */
  readonly missingMs?: number | undefined;
}

/** What was read of a source, next to what was known of it. */
interface Read {
  readonly name: string;
  readonly known: Known | undefined;
  readonly latest: Content;
  readonly missingMs: number | undefined;
}

/** A source that is deleted and created again within this time was never gone: without its roots, connections would fail. */
const replacementMs = 10_000;

/** A right that the operator was given causes no event of the source: it tries again after this time. */
const unreadableRetryMs = 30_000;

interface KnownOfAuthority {
  readonly uid: string;
  readonly sources: ReadonlyMap<string, Known>;
  /** When changed content was last used, in monotonic milliseconds. */
  readonly changedMs?: number | undefined;
}

export interface RootSourcesOptions {
  readonly client: GuardedClient;
  /** The operator's namespace, which holds the sources. */
  readonly namespace: string;
  readonly caches: Pick<Caches, 'sourceVersion' | 'certificates' | 'monotonicMs'>;
}

/**
 * Reads the sources of `spec.trustBundle.additional`. It keeps certificates only, of the sources that an authority names now.
 *
 * Each change of a bundle is a write to every Secret of the authority, and starts the delay of a rotation again. So changed
 * content is used at most once in a while, and not during a rotation. A source that changes all the time then delays nothing.
 * A change of spec, and a source that this process reads for the first time, are used at once.
 */
export class RootSources {
  readonly #options: RootSourcesOptions;
  /** By name of authority. */
  readonly #known = new Map<string, KnownOfAuthority>();

  constructor(options: RootSourcesOptions) {
    this.#options = options;
  }

  /**
   * The sources of an authority; undefined if it has none.
   * @throws KubeError if a source cannot be read now, unless the operator has no right to read it
   */
  async observe(
    authority: AuthorityRecord,
    isRotating: boolean,
    signal: AbortSignal,
  ): Promise<ObservedSources | undefined> {
    const { name: authorityName, uid, spec } = authority;
    const sources = spec.trustBundle?.additional ?? [];
    if (sources.length === 0) {
      this.forget(authorityName);
      return undefined;
    }
    const entry = this.#known.get(authorityName);
    const before = entry?.uid === uid ? entry : { uid, sources: new Map<string, Known>() };
    const nowMs = this.#options.caches.monotonicMs();
    const read = new Map<string, Read>();
    for (const source of sources) {
      const { kind, name, key } = sourceOf(source);
      const id = `${kind}/${name}/${key}`;
      const known = before.sources.get(id);
      const latest = await this.#read(source, known?.latest, signal);
      const isGone = latest.problem?.reason === 'SourceMissing' && known !== undefined && known.used.roots.length > 0;
      const missingMs = isGone ? (known.missingMs ?? nowMs) : undefined;
      read.set(id, { name: `${kind} ${name}, key ${key}`, known, latest, missingMs });
    }
    const changed = [...read.values()].filter(
      ({ known, latest }) => known !== undefined && known.used.identity !== latest.identity,
    );
    const mayReturnMs = ({ missingMs }: Read): number =>
      missingMs === undefined ? 0 : missingMs + replacementMs - nowMs;
    const waitMs = Math.max(this.#waitMs(authority, before.changedMs), Math.min(...changed.map(mayReturnMs)));
    const isUsed = changed.length > 0 && !isRotating && waitMs <= 0;
    const now = new Map<string, Known>();
    const observed: ObservedSource[] = [];
    for (const [id, one] of read) {
      const { name, known, latest, missingMs } = one;
      const used =
        known === undefined || known.used.identity === latest.identity || (isUsed && mayReturnMs(one) <= 0)
          ? latest
          : known.used;
      now.set(id, { latest, used, ...(used === latest ? {} : { missingMs }) });
      observed.push({ name, roots: used.roots, ...(used.problem === undefined ? {} : { problem: used.problem }) });
    }
    const changedMs = isUsed ? nowMs : before.changedMs;
    this.#known.set(authorityName, { uid, sources: now, changedMs });
    const waiting = changed.filter((one) => !isUsed || mayReturnMs(one) > 0);
    const isUnreadable = [...now.values()].some(({ latest }) => latest.problem?.reason === 'SourceUnreadable');
    const pauses = isUnreadable ? [unreadableRetryMs] : [];
    if (waiting.length > 0 && !isRotating)
      pauses.push(Math.max(this.#waitMs(authority, changedMs), Math.min(...waiting.map(mayReturnMs))));
    return {
      sources: observed,
      ...(pauses.length === 0 ? {} : { recheckInMs: Math.min(...pauses) }),
      ...(waiting.length > 0 && isRotating ? { waitsForRotation: true } : {}),
    };
  }

  /** Forgets a deleted authority. */
  forget(authority: string): void {
    this.#known.delete(authority);
  }

  /** How long a change has to wait: the last one needs time to reach every Secret, and pods to load it. */
  #waitMs({ name, spec: { rotation } }: AuthorityRecord, changedMs: number | undefined): number {
    const { caches } = this.#options;
    if (changedMs === undefined) return 0;
    const writesMs = (caches.certificates.count('authority', name) / Math.max(1, rotation.reissuesPerSecond)) * 1000;
    const pauseMs = 2 * (parseDurationMs(rotation.propagationDelay) ?? 0) + writesMs;
    return changedMs + pauseMs - caches.monotonicMs();
  }

  /** Reads a source, unless the cache shows that it has not changed since the last time. */
  async #read(source: AdditionalRoots, known: Content | undefined, signal: AbortSignal): Promise<Content> {
    const { client, namespace, caches } = this.#options;
    const { kind, name, key } = sourceOf(source);
    if (known !== undefined && known.version === (caches.sourceVersion(kind, { namespace, name }) ?? '')) return known;
    const ref = { namespace, name };
    try {
      const found = await readers[kind](client, ref, key, signal);
      return contentOf(kind, key, found);
    } catch (error) {
      if (!isKubeError(error, 'Forbidden')) throw error;
      const message = `the operator may not read ${kind.toLowerCase()}s/${name} in namespace ${namespace}`;
      const problem = { reason: 'SourceUnreadable', message: `${message}; it needs the verb get` } as const;
      return { version: 'forbidden', roots: known?.roots ?? [], problem, identity: known?.identity ?? 'forbidden' };
    }
  }
}

/** The value of a key, and the revision of its object. */
interface Found {
  readonly version: string;
  /** The object holds the bundle of an authority. */
  readonly isBundle: boolean;
  readonly text: string | undefined;
}

type Reader = (
  client: GuardedClient,
  ref: { readonly namespace: string; readonly name: string },
  key: string,
  signal: AbortSignal,
) => Promise<Found | undefined>;

const readers: Readonly<Record<SourceKind, Reader>> = {
  async ConfigMap(client, ref, key, signal) {
    const object = await client.find(configMaps, ref, { signal });
    return object && { ...ofMetadata(object.metadata), text: object.data?.[key] };
  },
  async Secret(client, ref, key, signal) {
    const object = await client.find(secrets, ref, { signal });
    const text = object?.data?.[key] === undefined ? undefined : dataText(object, key);
    return object && { ...ofMetadata(object.metadata), text };
  },
};

const ofMetadata = ({ resourceVersion = '', labels: all = {} }: ObjectMeta): Pick<Found, 'version' | 'isBundle'> => ({
  version: resourceVersion,
  isBundle: all[labels.managedBy] === managerName && (labels.authority in all || labels.certificate in all),
});

/**
 * Two authorities that named each other's ConfigMaps would keep every root for ever: each takes it from the other, also after its
 * source is gone, and after a rotation has retired it.
 */
const isPublished =
  'is published by the operator, and a removed root would come back from it; name where its roots come from';

function contentOf(kind: SourceKind, key: string, found: Found | undefined): Content {
  const none = (reason: 'SourceMissing' | 'SourceInvalid', message: string, version: string): Content => ({
    version,
    roots: [],
    problem: { reason, message },
    identity: `${reason} ${message}`,
  });
  if (found === undefined) return none('SourceMissing', 'does not exist in the namespace of the operator', '');
  const { version, text, isBundle } = found;
  if (isBundle) return none('SourceInvalid', isPublished, version);
  if (text === undefined) return none('SourceMissing', `the ${kind} has no key ${key} in its data`, version);
  try {
    const roots = readOfferedRoots(text);
    if (roots.length === 0) return none('SourceInvalid', 'holds no certificate in PEM', version);
    return { version, roots, identity: roots.map(identityOf).join(' ') };
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    return none('SourceInvalid', error.message, version);
  }
}

const identityOf = (root: OfferedRoot): string =>
  'certificate' in root ? root.certificate.fingerprint : `${root.code} ${root.message}`;
