import { type GuardedClient, keyOf, pods as podResource, secrets as secretResource } from '../../kube/index.ts';
import { anchorId } from '../../pki/index.ts';
import {
  type AuthorityRecord,
  anchorIdInStatus,
  type CachedSecret,
  canOwn,
  type IssuedSecret,
  issuedSecret,
  missingSecrets,
  type ObservedPods,
  type Publication,
  type RolloutObject,
  type RolloutObservation,
  rootsInStatus,
  unreadableNamespace,
} from '../../plan/index.ts';
import { type Caches, requestsPodEvidence } from '../cache/caches.ts';
import type { WatchedKind } from '../cache/watched-namespaces.ts';
import { leafSecretSelector } from '../objects/leaf-secret.ts';
import { podRecord, runningPodSelector } from '../objects/running-pod.ts';
import { ChangeCounts } from './change-counts.ts';

export interface RolloutSources {
  readonly client: GuardedClient;
  readonly caches: Caches;
  readonly publications: {
    /** The objects that hold or must hold the bundle of an authority. */
    of(authority: AuthorityRecord): readonly Publication[];
    /** Reads these objects again from the API server. */
    renew(authority: AuthorityRecord, signal: AbortSignal): Promise<void>;
  };
  /** What the leader did for pods. Absent on a replica that does not lead. */
  readonly podActions?: {
    of(authority: string): Pick<ObservedPods, 'issuances' | 'restarts'>;
  };
}

/** A Secret as of the last pass over all Secrets. */
interface Seen {
  /** The token of its record, see Store. */
  readonly token: object | undefined;
  /** The fields of the Secret that name its owner. */
  readonly claim: Pick<CachedSecret, 'namespace' | 'name' | 'controller' | 'owner' | 'ownerName'>;
  readonly issued: IssuedSecret;
}

/** Observes the Secrets and published bundles that a root rotation waits for. */
export class RolloutObserver {
  readonly #sources: RolloutSources;
  /** By key. A rotation observes repeatedly, and few Secrets change in between. */
  #seen: ReadonlyMap<string, Seen> = new Map();
  #isInUse = false;
  /** By the name of the authority. */
  readonly #changes = new Map<string, ChangeCounts>();

  constructor(sources: RolloutSources) {
    this.#sources = sources;
  }

  /**
   * The Secrets and published bundles of an authority, from the caches. Each getter gathers them on first access, because that
   * reads all Secrets, and most reconciles of an authority have no rotation.
   */
  gather(authority: AuthorityRecord): RolloutObservation {
    const { caches, publications } = this.#sources;
    // If the Secrets were not read since the previous call, no rotation is in progress.
    if (!this.#isInUse) this.#seen = new Map();
    this.#isInUse = false;
    let [secrets, published]: [RolloutObservation['secrets']?, RolloutObservation['publications']?] = [];
    const counts = this.#countsOf(authority);
    const counted = <T extends RolloutObject>(list: string, objects: readonly T[]): readonly T[] =>
      counts === undefined ? objects : counts.counted(list, objects);
    const issuedSecrets = () => this.#issuedSecrets(authority);
    return {
      get secrets() {
        secrets ??= counted('secrets', issuedSecrets());
        return secrets;
      },
      get publications() {
        published ??= counted('publications', publications.of(authority));
        return published;
      },
      ...(requestsPodEvidence(authority) ? { pods: this.#pods(authority) } : {}),
      examinedSecrets: caches.secrets.size + (requestsPodEvidence(authority) ? caches.pods.store.size : 0),
      // The getters above may run later than this line. Their objects then seem too young, and the gate only waits longer.
      monotonicMs: caches.monotonicMs(),
    };
  }

  #pods({ name }: AuthorityRecord): ObservedPods {
    const { caches, podActions } = this.#sources;
    const { pods } = caches;
    const { issuances = new Map(), restarts = new Map() } = podActions?.of(name) ?? {};
    return { unknown: pods.unknown, all: () => pods.store.values(), issuances, restarts };
  }

  #issuedSecrets(authority: AuthorityRecord): RolloutObservation['secrets'] {
    const { certificates, secrets } = this.#sources.caches;
    const roots = new Set(rootsInStatus(authority.status).map(anchorId));
    const rootOf = (fingerprint: string) => anchorIdInStatus(authority.status, fingerprint);
    const isThere = (namespace: string) => (name: string) => secrets.has(keyOf({ namespace, name }));
    return [
      ...[...this.#scanSecrets()].flatMap((seen) => this.#counted(authority, roots, seen) ?? []),
      ...certificates
        .by('authority', authority.name)
        .flatMap((certificate) => missingSecrets(certificate, isThere(certificate.namespace), rootOf)),
      ...this.#unreadable(authority),
    ];
  }

  /** The watched namespaces in which the operator may not read what the rotation has to wait for. */
  #unreadable({ spec }: AuthorityRecord): readonly IssuedSecret[] {
    const { caches } = this.#sources;
    const needed = new Set<WatchedKind>(['mtlscertificates', 'secrets']);
    if (spec.trustBundle?.configMap !== undefined) needed.add('configmaps');
    const closed = [...caches.unreadable()].filter(({ kind }) => needed.has(kind));
    return [...Map.groupBy(closed, ({ namespace }) => namespace)].map(([namespace, kinds]) =>
      unreadableNamespace(
        namespace,
        kinds.map(({ kind }) => kind),
        caches.monotonicMs(),
      ),
    );
  }

  /**
   * Returns a Secret if the rotation has to wait for it: a resource of the authority owns it or would adopt it, or it holds a
   * leaf of this authority and its resource has moved to another authority. A Secret that no resource can own never counts:
   * any user can copy a Secret and give the copy labels, an owner and a finalizer.
   */
  #counted({ name }: AuthorityRecord, roots: ReadonlySet<string>, { claim, issued }: Seen): IssuedSecret | undefined {
    const { authorities, certificates } = this.#sources.caches;
    const { namespace, ownerName } = claim;
    const named = ownerName === undefined ? undefined : certificates.get(keyOf({ namespace, name: ownerName }));
    if (named === undefined || !canOwn(named, claim)) return undefined;
    const used = named.spec.authorityRef.name;
    if (used === name) {
      const ready = named.status.conditions?.find(({ type }) => type === 'Ready');
      return ready?.status === 'False' ? { detail: ready.reason, ...issued } : issued;
    }
    const root = issued.leaf?.root;
    if (root === undefined || !roots.has(root)) return undefined;
    // Two authorities can share a root. The Secret then counts for the authority that its resource uses.
    const other = authorities.get(used);
    const isOfBoth = other !== undefined && rootsInStatus(other.status).some((one) => anchorId(one) === root);
    if (isOfBoth) return undefined;
    const isReadable = named.specProblem === undefined;
    const why = isReadable ? `has moved to authority ${used}` : 'has an invalid spec';
    return { ...issued, detail: `its MtlsCertificate ${why}` };
  }

  /** The change counts of the current phase; undefined when there is no rotation. */
  #countsOf({ name, status: { rotation } }: AuthorityRecord): ChangeCounts | undefined {
    if (rotation === undefined) {
      this.#changes.delete(name);
      return undefined;
    }
    const phase = `${rotation.id}/${rotation.phase}`;
    const known = this.#changes.get(name);
    if (known?.phase === phase) return known;
    const counts = new ChangeCounts(phase, this.#sources.caches.monotonicMs());
    this.#changes.set(name, counts);
    return counts;
  }

  /** Goes through all Secrets, and reads the records that have changed since the last pass. */
  #scanSecrets(): Iterable<Seen> {
    const { secrets } = this.#sources.caches;
    const seen = new Map<string, Seen>();
    for (const key of secrets.keys()) {
      const before = this.#seen.get(key);
      const token = secrets.token(key);
      const record =
        before !== undefined && before.token === token && isResolved(before) ? undefined : secrets.get(key);
      const now = record === undefined ? before : seenAs(record, token);
      if (now !== undefined) seen.set(key, now);
    }
    this.#seen = seen;
    this.#isInUse = true;
    return seen.values();
  }

  /**
   * Reads the Secrets and published bundles again from the API server, because the watches may be late. Newer objects go into
   * the caches and count in the next observation.
   */
  async renew(authority: AuthorityRecord, signal: AbortSignal): Promise<void> {
    const { client, caches, publications } = this.#sources;
    // Metadata only: any user can make the content large, and the caches already have most Secrets at this revision.
    const selection = { labelSelector: leafSecretSelector, metadataOnly: true, limit: 500, signal };
    for (const namespace of caches.watched.readable('secrets')) {
      for await (const { items } of client.listPages(secretResource, { ...selection, namespace })) {
        for (const found of items) {
          const { metadata } = found;
          if (caches.secrets.current(metadata) !== undefined) continue;
          const canBeOwned = caches.examiner.canBeOwned(found);
          const secret = canBeOwned ? await client.find(secretResource, metadata, { signal }) : found;
          if (secret !== undefined) caches.secrets.observe(caches.examiner.read(secret));
        }
      }
    }
    await publications.renew(authority, signal);
    if (requestsPodEvidence(authority)) await this.#renewPods(signal);
  }

  /** Reads whole pods: the caches do not know the revisions of the pods that they leave out. */
  async #renewPods(signal: AbortSignal): Promise<void> {
    const { client, caches } = this.#sources;
    const { store, readable } = caches.pods;
    const selection = { fieldSelector: runningPodSelector, skipsLarge: true, limit: 500, signal };
    for (const namespace of readable) {
      const pages = client.listPages(podResource, { ...selection, ...(namespace === '' ? {} : { namespace }) });
      for await (const { items } of pages) {
        for (const pod of items) {
          if (store.current(pod.metadata) !== undefined) continue;
          const record = podRecord(pod);
          if (record !== undefined) store.observe(record);
        }
      }
    }
  }
}

/** False for a leaf whose root was unknown: it may be known now. */
const isResolved = ({ issued: { leaf } }: Seen): boolean => leaf === undefined || leaf.root !== undefined;

const seenAs = (record: CachedSecret, token: object | undefined): Seen => {
  const { namespace, name, controller, owner, ownerName } = record;
  const names = { ...(owner === undefined ? {} : { owner }), ...(ownerName === undefined ? {} : { ownerName }) };
  return { token, claim: { namespace, name, controller, ...names }, issued: issuedSecret(record) };
};
