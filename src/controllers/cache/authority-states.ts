import { isDeepStrictEqual } from 'node:util';
import { type Certificate, type Issuer, pathOf } from '../../pki/index.ts';
import {
  type AuthorityRecord,
  type AuthorityVerdict,
  type CrlBundle,
  type RootState,
  rootsInStatus,
} from '../../plan/index.ts';
import type { SigningMaterial } from './signing-material.ts';

interface Entry {
  readonly view: RootState;
  readonly material?: SigningMaterial;
  /** The roots that may have signed what is out there. */
  readonly roots: readonly Certificate[];
  /** What decides whether another view says the same, without certificates and keys; and the same of the CRLs. */
  readonly gist: unknown;
  readonly crl?: string;
}

/** What another view says that the one before did not: nothing, only other CRLs, or anything else. */
export type AuthorityChange = 'none' | 'crl' | 'whole';

/**
 * What certificates see of the authorities: the last verdict on each one's root. The only holder of signing keys, as
 * opaque key objects. A view and its material are replaced together, and only when they say something else than before.
 */
export class AuthorityStates {
  readonly #entries = new Map<string, Entry>();

  /** Takes over a verdict. Says what of it is news, because of which others have to be looked at again. */
  set({ name, status }: AuthorityRecord, verdict: AuthorityVerdict): AuthorityChange {
    const entry = entryOf(status, verdict);
    const before = this.#entries.get(name);
    const isSame = before !== undefined && isDeepStrictEqual(before.gist, entry.gist);
    if (isSame && before.crl === entry.crl) return 'none';
    this.#entries.set(name, entry);
    return isSame ? 'crl' : 'whole';
  }

  /** Forgets an authority that is gone. */
  delete(name: string): void {
    this.#entries.delete(name);
  }

  /** Forgets all of them: each is `unknown` until its root is looked at again. */
  clear(): void {
    this.#entries.clear();
  }

  /** The view of an authority that exists; `unknown` until its root has been looked at. */
  get(name: string): RootState {
    return this.#entries.get(name)?.view ?? { state: 'unknown' };
  }

  /** What the authority signs with and whom it trusts, when it is ready. The same object for as long as it is so. */
  material(name: string): SigningMaterial | undefined {
    return this.#entries.get(name)?.material;
  }

  /** Every root that any authority trusts: one of them has signed a leaf of ours. */
  roots(): Certificate[] {
    return [...this.#entries.values()].flatMap(({ roots }) => roots);
  }

  /** What signs by name of authority, for metrics. */
  *active(): Iterable<[name: string, root: Issuer]> {
    for (const [name, { material }] of this.#entries) {
      if (material?.issuer !== undefined) yield [name, material.issuer.root];
    }
  }

  /** The CRLs by name of authority, for metrics. */
  *crls(): Iterable<[name: string, crl: CrlBundle]> {
    for (const [name, { material }] of this.#entries) if (material?.crl !== undefined) yield [name, material.crl];
  }
}

function entryOf(status: AuthorityRecord['status'], verdict: AuthorityVerdict): Entry {
  if (verdict.state === 'notReady') return { view: verdict, roots: rootsInStatus(status), gist: verdict };
  const { issuer: root, bundle, crl, ...rest } = verdict;
  const { certificate, intermediates, anchor } = root;
  const published = { bundle, ...(crl === undefined ? {} : { crl }) };
  return {
    view: { ...rest, ...published, issuer: certificate, intermediates, anchor },
    material: rest.issuancePaused === undefined ? { ...published, issuer: { root, bundle } } : published,
    roots: bundle.roots,
    ...(crl === undefined ? {} : { crl: gistOf(crl) }),
    gist: { ...rest, path: pathOf(root).map(({ fingerprint }) => fingerprint), bundle: bundle.digest },
  };
}

/** What certificates depend on: the lists, their room, who can be put on them, and which of them cannot be renewed. */
const gistOf = ({ digest, entries, issuers, unrenewable }: CrlBundle): string =>
  JSON.stringify([digest, entries.total, issuers, unrenewable.map(({ issuer, nextUpdate }) => [issuer, nextUpdate])]);
