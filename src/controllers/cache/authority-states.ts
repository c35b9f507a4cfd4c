import { isDeepStrictEqual } from 'node:util';
import { type Certificate, type Issuer, pathOf } from '../../pki/index.ts';
import {
  type AuthorityRecord,
  type AuthorityVerdict,
  type CrlBundle,
  encodePodLeaves,
  type RootState,
  rootsInStatus,
} from '../../plan/index.ts';
import type { SigningMaterial } from './signing-material.ts';

interface Entry {
  /** The UID of the authority. */
  readonly uid: string;
  readonly state: RootState;
  readonly material?: SigningMaterial;
  /** The roots that may have signed the leaves in Secrets. */
  readonly roots: readonly Certificate[];
  /** The part of the state that certificates depend on, without X.509 and key objects, for comparison. */
  readonly comparable: unknown;
  /** The part of the CRLs that certificates depend on, for comparison. */
  readonly comparableCrl?: string;
  readonly comparablePodLeaves?: string;
}

/**
 * How a state differs from the previous one: `crl` in its CRLs, `podLeaves` in how long certificates for pods may be valid, `whole` in
 * anything else. `whole` includes the others.
 */
export type AuthorityChange = 'crl' | 'podLeaves' | 'whole';

/**
 * The state of each authority: the last verdict on its root. Only this class keeps signing keys, as opaque objects. A state and
 * its material are replaced together, and only if they changed.
 */
export class AuthorityStates {
  readonly #entries = new Map<string, Entry>();

  /** Sets the state of an authority from a verdict. Returns how it changed. */
  set({ name, uid, status }: AuthorityRecord, verdict: AuthorityVerdict): readonly AuthorityChange[] {
    const entry = { uid, ...entryOf(status, verdict) };
    const before = this.#entries.get(name);
    const changes = before === undefined ? (['whole'] as const) : changesBetween(before, entry);
    if (changes.length > 0) this.#entries.set(name, entry);
    return changes;
  }

  /** Forgets a deleted authority. */
  delete(name: string): void {
    this.#entries.delete(name);
  }

  /** Forgets all states: each authority is `unknown` until its root is read again. */
  clear(): void {
    this.#entries.clear();
  }

  /** The state of an authority; `unknown` until its root was read. */
  get(name: string): RootState {
    return this.#entries.get(name)?.state ?? { state: 'unknown' };
  }

  /**
   * The UID of the authority that a state is about. After an authority was deleted and created again, this is the earlier one until
   * the root was read.
   */
  uidOf(name: string): string | undefined {
    return this.#entries.get(name)?.uid;
  }

  /** The signing material of an authority that is ready. Returns the same object until the material changes. */
  material(name: string): SigningMaterial | undefined {
    return this.#entries.get(name)?.material;
  }

  /** The trusted roots of all authorities: one of them signed each leaf of the operator. */
  roots(): Certificate[] {
    return [...this.#entries.values()].flatMap(({ roots }) => roots);
  }

  /** The issuers by name of authority. */
  *issuers(): Iterable<[name: string, issuer: Issuer]> {
    for (const [name, { material }] of this.#entries) {
      if (material?.issuer !== undefined) yield [name, material.issuer.root];
    }
  }

  /** The CRLs by name of authority. */
  *crls(): Iterable<[name: string, crl: CrlBundle]> {
    for (const [name, { material }] of this.#entries) if (material?.crl !== undefined) yield [name, material.crl];
  }
}

function changesBetween(before: Entry, after: Entry): AuthorityChange[] {
  if (before.uid !== after.uid) return ['whole'];
  if (!isDeepStrictEqual(before.comparable, after.comparable)) return ['whole'];
  return [
    ...(before.comparableCrl === after.comparableCrl ? [] : (['crl'] as const)),
    ...(before.comparablePodLeaves === after.comparablePodLeaves ? [] : (['podLeaves'] as const)),
  ];
}

function entryOf(status: AuthorityRecord['status'], verdict: AuthorityVerdict): Omit<Entry, 'uid'> {
  if (verdict.state === 'notReady') return { state: verdict, roots: rootsInStatus(status), comparable: verdict };
  const { issuer, bundle, crl, podLeaves, ...rest } = verdict;
  const { certificate, intermediates, anchor } = issuer;
  const published = { bundle, ...(crl === undefined ? {} : { crl }) };
  return {
    state: {
      ...rest,
      ...published,
      issuer: certificate,
      intermediates,
      anchor,
      ...(podLeaves === undefined ? {} : { podLeaves }),
    },
    material: rest.issuancePaused === undefined ? { ...published, issuer: { root: issuer, bundle } } : published,
    roots: bundle.roots,
    ...(crl === undefined ? {} : { comparableCrl: comparableCrl(crl) }),
    ...(podLeaves === undefined ? {} : { comparablePodLeaves: encodePodLeaves(podLeaves) }),
    comparable: { ...rest, path: pathOf(issuer).map(({ fingerprint }) => fingerprint), bundle: bundle.digest },
  };
}

/** The part of the CRLs that certificates depend on: content, number of entries, issuers, and CRLs that cannot be renewed. */
const comparableCrl = ({ digest, entries, issuers, unrenewable }: CrlBundle): string =>
  JSON.stringify([digest, entries.total, issuers, unrenewable.map(({ issuer, nextUpdate }) => [issuer, nextUpdate])]);
