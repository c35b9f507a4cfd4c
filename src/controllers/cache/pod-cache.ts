import { Store } from '../../kube/index.ts';
import type { ObservedPods, PodRecord } from '../../plan/index.ts';

/** The reflectors of pods, as PodCache asks for them. */
type Listed = (namespace: string) => boolean;

/**
 * The pods that a rotation may have to wait for. The operator watches pods only with --pod-evidence, and from the moment that an
 * authority asks for pod evidence.
 */
export class PodCache {
  /** Whether the operator watches pods at all (--pod-evidence). */
  readonly isOn: boolean;
  readonly store = new Store<PodRecord>();
  /** The watched namespaces, or an empty name for all namespaces. */
  readonly #namespaces: readonly string[];
  readonly #forbidden = new Set<string>();
  readonly #isGone: (namespace: string) => boolean;
  readonly #onChange: (namespace: string) => void;
  #isListed: Listed = () => false;

  /**
   * @param watched undefined: all namespaces
   * @param isGone true for a watched namespace that does not exist
   * @param onChange called after the permission in a namespace was noted
   */
  constructor(
    isOn: boolean,
    watched: readonly string[] | undefined,
    isGone: (namespace: string) => boolean,
    onChange: (namespace: string) => void,
  ) {
    this.isOn = isOn;
    this.#namespaces = watched ?? [''];
    this.#isGone = isGone;
    this.#onChange = onChange;
  }

  /** @param isListed whether the pods of a namespace, or of all namespaces for an empty name, were listed */
  follow(isListed: Listed): void {
    this.#isListed = isListed;
  }

  /** @param namespace empty for all namespaces */
  notePermission(namespace: string, isPermitted: boolean): void {
    if (isPermitted) this.#forbidden.delete(namespace);
    else this.#forbidden.add(namespace);
    this.#onChange(namespace);
  }

  /** True while the operator may not read the pods of a namespace. */
  isForbidden(namespace: string): boolean {
    return this.#forbidden.has(namespace);
  }

  /** The namespaces whose pods can be listed now; empty for all namespaces. */
  get readable(): readonly string[] {
    return this.isOn ? this.#namespaces.filter((name) => this.#isListed(name) && !this.#forbidden.has(name)) : [];
  }

  /** Where pods are not known, and why. */
  get unknown(): ObservedPods['unknown'] {
    if (!this.isOn) {
      const why =
        'start the operator with --pod-evidence (chart: podEvidence.enabled), or remove spec.rotation.podEvidence';
      return [{ namespace: '', why }];
    }
    return this.#namespaces
      .filter((name) => !this.#isGone(name))
      .flatMap((namespace) => {
        const why = this.#forbidden.has(namespace)
          ? 'the operator may not list and watch them (chart: podEvidence.enabled)'
          : this.#isListed(namespace)
            ? undefined
            : 'the operator has not listed them yet';
        return why === undefined ? [] : { namespace, why };
      });
  }
}
