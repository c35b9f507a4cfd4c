import { Store } from '../../kube/index.ts';
import type { PodRequestRecord, PodRequestsAccess } from '../../plan/index.ts';

type Access = PodRequestsAccess['access'];

/** The PodCertificateRequests that wait for an answer of this operator. */
export class PodRequestCache {
  readonly store = new Store<PodRequestRecord, 'authority' | 'namespace'>({
    indexes: { authority: ({ authority }) => [authority], namespace: ({ namespace }) => [namespace] },
  });
  readonly isOn: boolean;
  /** By watched namespace; the name is empty when one watch covers all namespaces. */
  readonly #access = new Map<string, Access>();
  readonly #isGone: (namespace: string) => boolean;
  readonly #onChange: (namespace: string) => void;

  /**
   * @param isGone whether a watched namespace does not exist
   * @param onChange called after the access in a namespace changed
   */
  constructor(isOn: boolean, isGone: (namespace: string) => boolean, onChange: (namespace: string) => void) {
    this.isOn = isOn;
    this.#isGone = isGone;
    this.#onChange = onChange;
  }

  note(namespace: string, access: Access): void {
    if (this.#access.get(namespace) === access) return;
    this.#access.set(namespace, access);
    this.#onChange(namespace);
  }

  /** True while the operator may not read the requests of a namespace. */
  isForbidden(namespace: string): boolean {
    return this.#access.get(namespace) === 'forbidden';
  }

  /** The access in all namespaces that exist: the worst of them, and the namespaces that have it. */
  get access(): PodRequestsAccess {
    if (!this.isOn) return { access: 'off', namespaces: [] };
    for (const access of ['unserved', 'forbidden', 'unknown'] as const) {
      const namespaces = [...this.#access].flatMap(([name, one]) =>
        one === access && !this.#isGone(name) ? [name] : [],
      );
      if (namespaces.length > 0) return { access, namespaces: namespaces.filter((name) => name !== '') };
    }
    return { access: this.#access.size === 0 ? 'unknown' : 'permitted', namespaces: [] };
  }
}
