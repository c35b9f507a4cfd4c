import type { Role } from '../../pki/index.ts';
import {
  afterFailure,
  type FailedAttempts,
  failureMessage,
  failuresInStatus,
  failuresNotInFuture,
  type ObservedCertificate,
  type ObservedRole,
} from '../../plan/index.ts';

/** How the step of a role ended, for the backoff. */
export interface RoleResult {
  /** The observed role, with its earlier failures. */
  readonly role: ObservedRole;
  /** Present when the step was attempted and failed. */
  readonly failure?: {
    readonly message: string;
    /** The API server refused the write. A later success in the namespace suggests that the cause is gone. */
    readonly isRefusal: boolean;
    /** When the current certificate expires. */
    readonly expiry?: Date;
  };
  /** The step was not attempted, because of earlier failures. */
  readonly isDelayed: boolean;
}

interface Known extends FailedAttempts {
  /** See attemptOf. */
  readonly attempt: string;
  readonly isRefusal: boolean;
}

type Attempt = Pick<ObservedCertificate, 'certificate' | 'authority'>;

/** How many delayed resources a successful write wakes. Each of them wakes as many again when it succeeds. */
const wokenBySuccess = 2;

/** A resource that failed less than 5 s ago is not woken, however many writes succeed. */
const restMs = 5000;

/**
 * Failed attempts, by key of the resource and by role: a failure delays only its own role. Each entry identifies the attempt:
 * after a change of the spec, of a token or of the root, the next attempt is a different one and is not delayed.
 */
export class IssuanceBackoff {
  readonly #known = new Map<string, ReadonlyMap<Role, Known>>();
  /** Keys of resources whose write was refused, by namespace. The key that failed the longest ago comes first. */
  readonly #refused = new Map<string, Set<string>>();

  /** A role's failed attempts; undefined when the last attempt succeeded, or was for another request. */
  get(key: string, observed: Attempt, role: Role, now: Date): FailedAttempts | undefined {
    const roles = this.#known.get(key);
    if (roles === undefined)
      return isAnother(observed) ? undefined : failuresInStatus(observed.certificate.status, role, now);
    const known = roles.get(role);
    if (known === undefined || known.attempt !== attemptOf(observed)) return undefined;
    const { attempts, lastFailureTime, nextRetryTime, message } = failuresNotInFuture(known, now);
    if (lastFailureTime !== known.lastFailureTime)
      this.#known.set(key, new Map(roles).set(role, { ...known, lastFailureTime, nextRetryTime }));
    return { attempts, lastFailureTime, nextRetryTime, message };
  }

  /** Records how the steps of all roles of a resource ended. Returns the failures of each role that still fails. */
  note(key: string, observed: Attempt, results: readonly RoleResult[], now: Date): ReadonlyMap<Role, FailedAttempts> {
    const before = this.#known.get(key);
    const attempt = attemptOf(observed);
    const roles = new Map<Role, Known>();
    for (const {
      role: { role, failedAttempts },
      failure,
      isDelayed,
    } of results) {
      if (failure !== undefined) {
        const seed = `${observed.certificate.uid}/${role}`;
        const failures = afterFailure(failedAttempts?.attempts ?? 0, now, seed, failure.expiry);
        const { isRefusal } = failure;
        roles.set(role, { ...failures, message: failureMessage(failure.message), attempt, isRefusal });
      } else if (isDelayed && failedAttempts !== undefined) {
        // After a restart it is unknown whether the API server refused the write. An early retry does no harm.
        roles.set(role, { ...failedAttempts, attempt, isRefusal: before?.get(role)?.isRefusal ?? true });
      }
    }
    const { namespace } = observed.certificate;
    if (results.some(({ failure }) => failure !== undefined)) this.#refusedIn(namespace).delete(key);
    if ([...roles.values()].some(({ isRefusal }) => isRefusal)) this.#refusedIn(namespace).add(key);
    else this.#leave(namespace, key);
    if (roles.size > 0) this.#known.set(key, roles);
    else this.#known.delete(key);
    return roles;
  }

  /**
   * Call it after a successful write in a namespace. Returns the keys of the resources there that were refused the longest ago,
   * and ends their delay. Each that succeeds wakes others, so after a quota is raised all of them succeed quickly.
   */
  wake(namespace: string, now: Date): string[] {
    const woken: string[] = [];
    for (const key of this.#refused.get(namespace) ?? []) {
      const roles = this.#known.get(key);
      // A time in the future was before the clock was set back.
      const isResting = [...(roles?.values() ?? [])].some(
        ({ lastFailureTime: at }) => at <= now && now.getTime() - at.getTime() < restMs,
      );
      if (isResting || woken.length === wokenBySuccess) break;
      this.#known.set(key, new Map([...(roles ?? [])].map(([role, known]) => [role, wokenAt(known, now)])));
      this.#leave(namespace, key);
      woken.push(key);
    }
    return woken;
  }

  /** Forgets a deleted resource. */
  forget(key: string, namespace: string): void {
    this.#known.delete(key);
    this.#leave(namespace, key);
  }

  #refusedIn(namespace: string): Set<string> {
    const keys = this.#refused.get(namespace) ?? new Set();
    this.#refused.set(namespace, keys);
    return keys;
  }

  #leave(namespace: string, key: string): void {
    const keys = this.#refused.get(namespace);
    keys?.delete(key);
    if (keys?.size === 0) this.#refused.delete(namespace);
  }
}

const wokenAt = (known: Known, now: Date): Known => (known.isRefusal ? { ...known, nextRetryTime: now } : known);

/** Identifies an attempt: the request and the root. */
function attemptOf({ certificate, authority }: Attempt): string {
  const root = authority.state === 'ready' ? authority.bundle.digest : authority.state;
  const { uid, generation, rotateToken = '', revokeToken = '', retryToken = '' } = certificate;
  return [uid, generation, rotateToken, revokeToken, retryToken, root].join('/');
}

/** True when status may describe a different attempt: status does not say whether a token is newer than the failure. */
function isAnother({ certificate: { status, generation, rotateToken, revokeToken, retryToken } }: Attempt): boolean {
  return (
    status.observedGeneration !== generation ||
    (rotateToken !== undefined && rotateToken !== status.lastHandledRotate) ||
    (revokeToken !== undefined && revokeToken !== status.lastHandledRevoke) ||
    (retryToken !== undefined && retryToken !== status.lastHandledRetry)
  );
}
