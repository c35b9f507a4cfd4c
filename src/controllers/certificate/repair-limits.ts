import type { Role } from '../../pki/index.ts';
import {
  afterRepair,
  isForgotten,
  type ObservedCertificate,
  type ObservedRole,
  type Repairs,
  repairsInStatus,
  retryIsPending,
} from '../../plan/index.ts';

/** The change that a reconcile made to a role's Secret. */
export interface RepairResult {
  readonly role: ObservedRole;
  readonly isWritten: boolean;
  /** The write undid a change of another writer. */
  readonly isRepair: boolean;
}

interface Known extends Repairs {
  /** The results of requestOf and sourcesOf at the last write. */
  readonly request: string;
  readonly sources: string;
  /** The value of `count` when `name` was last called. */
  readonly namedAt?: number;
}

type Observed = Pick<ObservedCertificate, 'certificate' | 'authority' | 'keystorePassword'>;

/**
 * Counts recent repairs of Secrets that another writer changes, by key of the resource and by role. A write for a request of a
 * person or for a new root is not a repair, and is never delayed.
 */
export class RepairLimits {
  readonly #known = new Map<string, Map<Role, Known>>();

  /** The recent repairs of a role's Secret; undefined if they do not delay the next repair. */
  get(
    key: string,
    observed: Observed,
    role: Pick<ObservedRole, 'role' | 'secretName'>,
    now: Date,
  ): Repairs | undefined {
    const known = this.#get(key, observed, role, now);
    if (known === undefined || known.request !== requestOf(observed)) return undefined;
    return { ...repairsIn(known), ...(known.sources === sourcesOf(observed) ? {} : { sourcesChanged: true }) };
  }

  /** Records what a reconcile did to roles. Roles without a result keep their counts. */
  note(key: string, observed: Observed, results: readonly RepairResult[], now: Date): void {
    const current = { request: requestOf(observed), sources: sourcesOf(observed) };
    const roles = new Map(this.#known.get(key));
    for (const { role, isWritten, isRepair } of results) {
      const known = this.#get(key, observed, role, now);
      const isCounted = isRepair && (known === undefined || known.request === current.request);
      if (isCounted) roles.set(role.role, { ...known, ...afterRepair(known, now), ...current });
      else if (known === undefined) roles.delete(role.role);
      else roles.set(role.role, isWritten ? { ...known, ...current } : known);
    }
    if (roles.size > 0) this.#known.set(key, roles);
    else this.#known.delete(key);
  }

  /** The repairs of each role of a resource, for status. */
  of(key: string): ReadonlyMap<Role, Repairs> {
    return new Map([...(this.#known.get(key) ?? [])].map(([role, known]) => [role, repairsIn(known)]));
  }

  /** True until `name` was called for the last repair. */
  isUnnamed(key: string, role: Role): boolean {
    const known = this.#known.get(key)?.get(role);
    return known !== undefined && known.namedAt !== known.count;
  }

  /** Records which client undid the last repair. @param changedBy undefined when managedFields do not show it */
  name(key: string, role: Role, changedBy: string | undefined): void {
    const known = this.#known.get(key)?.get(role);
    if (known === undefined) return;
    const { changedBy: before, ...others } = known;
    const writer = changedBy ?? before;
    const named = { ...others, namedAt: known.count, ...(writer === undefined ? {} : { changedBy: writer }) };
    this.#known.get(key)?.set(role, named);
  }

  /** Forgets a deleted resource. */
  forget(key: string): void {
    this.#known.delete(key);
  }

  #get(key: string, observed: Observed, role: Pick<ObservedRole, 'role' | 'secretName'>, now: Date): Known | undefined {
    const { certificate } = observed;
    // The `retry` annotation repairs at once: the person has stopped the other writer, or checks whether it has stopped.
    if (retryIsPending(certificate)) this.#known.get(key)?.delete(role.role);
    const known = this.#inMemory(key, role.role, now) ?? this.#afterRestart(key, observed, role, now);
    return known === undefined || isForgotten(known, now) ? undefined : known;
  }

  /** A last repair in the future was before the clock was set back. It counts as a repair now. */
  #inMemory(key: string, role: Role, now: Date): Known | undefined {
    const roles = this.#known.get(key);
    const known = roles?.get(role);
    if (known === undefined || known.lastTime <= now) return known;
    const recent = { ...known, lastTime: now };
    roles?.set(role, recent);
    return recent;
  }

  #afterRestart(
    key: string,
    observed: Observed,
    role: Pick<ObservedRole, 'role' | 'secretName'>,
    now: Date,
  ): Known | undefined {
    const { certificate } = observed;
    if (retryIsPending(certificate)) return undefined;
    const repairs = repairsInStatus(certificate.status, role, now);
    if (repairs === undefined) return undefined;
    const known = { ...repairs, request: requestOf(observed), sources: sourcesOf(observed) };
    const roles = this.#known.get(key) ?? new Map<Role, Known>();
    this.#known.set(key, roles.set(role.role, known));
    return known;
  }
}

const repairsIn = ({ count, lastTime, changedBy }: Known): Repairs => ({
  count,
  lastTime,
  ...(changedBy === undefined ? {} : { changedBy }),
});

/** Identifies what a Secret is written for: the request of a person, and the roots. */
function requestOf({ certificate, authority }: Observed): string {
  const { uid, generation, rotateToken = '', revokeToken = '', retryToken = '' } = certificate;
  const root = authority.state === 'ready' ? [authority.bundle.digest, authority.issuer.fingerprint] : [];
  return JSON.stringify([uid, generation, rotateToken, revokeToken, retryToken, ...root]);
}

/** Identifies the inputs of a Secret's outputs that requestOf leaves out: the CRLs and the keystore password. */
function sourcesOf({ certificate, authority, keystorePassword }: Observed): string {
  const crl = authority.state === 'ready' && certificate.spec.outputs?.crl === true ? authority.crl?.digest : undefined;
  return JSON.stringify([crl, keystorePassword]);
}
