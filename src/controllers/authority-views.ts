import { isDeepStrictEqual } from 'node:util';
import { type Certificate, pathOf, type SigningRoot } from '../pki/index.ts';
import type { AuthorityRecord, AuthorityVerdict, AuthorityView } from '../plan/index.ts';
import type { Signer } from './issuer.ts';

/**
 * What certificates see of the authorities: the last verdict on each one's root. The only holder of signing keys, as
 * opaque key objects. A view and its signer are replaced together, never changed.
 */
export class AuthorityViews {
  readonly #views = new Map<string, { view: AuthorityView; signer?: Signer }>();

  /** Takes over a verdict. True when certificates have to be looked at again because of it. */
  set({ name, spec }: AuthorityRecord, verdict: AuthorityVerdict): boolean {
    const { trustDomain, clusterDomain } = spec;
    const before = this.view(name);
    if (verdict.state === 'notReady') {
      const view = { ...verdict, trustDomain, clusterDomain };
      this.#views.set(name, { view });
      return !isDeepStrictEqual(before, view);
    }
    const { root, bundle } = verdict;
    const { certificate, intermediates, anchor } = root;
    const view = {
      state: 'ready',
      root: certificate,
      intermediates,
      anchor,
      bundle,
      trustDomain,
      clusterDomain,
    } as const;
    this.#views.set(name, { view, signer: { root, bundle } });
    return (
      before.state !== 'ready' ||
      before.bundle.digest !== bundle.digest ||
      pathText(before) !== pathText(view) ||
      before.trustDomain !== trustDomain ||
      before.clusterDomain !== clusterDomain
    );
  }

  /** Forgets an authority that is gone. */
  delete(name: string): void {
    this.#views.delete(name);
  }

  /** Forgets all of them: each is `unknown` until its root is looked at again. */
  clear(): void {
    this.#views.clear();
  }

  /** The view of an authority that exists; `unknown` until its root has been looked at. */
  view(name: string): AuthorityView {
    return this.#views.get(name)?.view ?? { state: 'unknown' };
  }

  /** What the authority signs with, when it is ready. */
  signer(name: string): Signer | undefined {
    return this.#views.get(name)?.signer;
  }

  /** Every root that any authority trusts: one of them has signed a leaf of ours. */
  roots(): Certificate[] {
    return [...this.#views.values()].flatMap(({ signer }) => signer?.bundle.roots ?? []);
  }

  /** The active roots by name of authority, for metrics. */
  active(): Array<[name: string, root: SigningRoot]> {
    return [...this.#views].flatMap(([name, { signer }]) => (signer === undefined ? [] : [[name, signer.root]]));
  }
}

const pathText = (signer: Pick<SigningRoot, 'intermediates' | 'anchor'>): string =>
  pathOf(signer)
    .map(({ fingerprint }) => fingerprint)
    .join();
