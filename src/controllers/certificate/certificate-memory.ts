import type { LeafRecord, Role } from '../../pki/index.ts';
import type {
  CertificateRecord,
  FailedAttempts,
  ObservedCertificate,
  ObservedRole,
  RoleOutcome,
} from '../../plan/index.ts';
import { IssuanceBackoff, type RoleResult } from './issuance-backoff.ts';
import { RepairLimits } from './repair-limits.ts';
import type { StepResult } from './step-result.ts';

type Request = Pick<ObservedCertificate, 'certificate' | 'authority' | 'keystorePassword'>;

/**
 * The memory of a term about each resource, by key: failed attempts, repairs, and issued certificates that are not in status yet.
 */
export class CertificateMemory {
  readonly #backoff = new IssuanceBackoff();
  readonly #repairs = new RepairLimits();
  /** By key and role. See RoleOutcome.unrecorded. */
  readonly #unrecorded = new Map<string, Map<Role, readonly LeafRecord[]>>();

  /** A role's failed attempts to issue what `request` requests; undefined if they do not delay the next attempt. */
  failedAttempts(key: string, request: Request, role: Role, now: Date): FailedAttempts | undefined {
    return this.#backoff.get(key, request, role, now);
  }

  /** The role with its recent repairs, if they may delay the next repair. */
  withRepairs(key: string, request: Request, role: ObservedRole, now: Date): ObservedRole {
    const { repairs: _, ...others } = role;
    const repairs = this.#repairs.get(key, request, role, now);
    return repairs === undefined ? others : { ...others, repairs };
  }

  /** True until `nameWriter` was called for the last repair. */
  isWriterUnnamed(key: string, role: Role): boolean {
    return this.#repairs.isUnnamed(key, role);
  }

  /** Records which client undid the last repair. @param changedBy undefined when managedFields do not show it */
  nameWriter(key: string, role: Role, changedBy: string | undefined): void {
    this.#repairs.name(key, role, changedBy);
  }

  /** Records what was written. Call it even if another role failed: the writes have happened. */
  noteWritten(key: string, request: Request, results: readonly StepResult[], now: Date): void {
    const repairs = results.map(({ outcome: { role }, isWritten = false, isRepaired = false }) => ({
      role,
      isWritten,
      isRepair: isRepaired,
    }));
    this.#repairs.note(key, request, repairs, now);
    const unrecorded = this.#unrecorded.get(key) ?? new Map<Role, readonly LeafRecord[]>();
    for (const { outcome, issued } of results) {
      const { role, secret } = outcome.role;
      if (issued === undefined || secret === undefined || !('leaf' in secret.content)) continue;
      unrecorded.set(role, [...(unrecorded.get(role) ?? []), secret.content.leaf]);
    }
    if (unrecorded.size > 0) this.#unrecorded.set(key, unrecorded);
  }

  /** Records which steps failed and which succeeded. Call it once in each reconcile, before outcomesOf. */
  noteFailures(key: string, request: Request, results: readonly StepResult[], now: Date) {
    return this.#backoff.note(key, request, results.map(asRoleResult), now);
  }

  /**
   * Returns the keys of resources in a namespace that the caller should retry now. Call it after a successful write there: the
   * quota or the admission policy that refused them may have been changed.
   */
  wake(namespace: string, now: Date): string[] {
    return this.#backoff.wake(namespace, now);
  }

  /**
   * The outcomes of steps, with the failures, repairs and unrecorded certificates of each role.
   * @param failures the result of noteFailures
   */
  outcomesOf(
    key: string,
    results: readonly StepResult[],
    failures: ReadonlyMap<Role, FailedAttempts>,
  ): readonly RoleOutcome[] {
    const repairs = this.#repairs.of(key);
    const unrecorded = this.#unrecorded.get(key);
    return results.map(({ outcome }) => {
      const { repairs: _, ...role } = outcome.role;
      const [repaired, issued] = [repairs.get(role.role), unrecorded?.get(role.role)];
      const failedAttempts = failures.get(role.role);
      return {
        ...outcome,
        role: repaired === undefined ? role : { ...role, repairs: repaired },
        ...(issued === undefined ? {} : { unrecorded: issued }),
        ...(failedAttempts === undefined ? {} : { failedAttempts }),
      };
    });
  }

  /** Forgets issued certificates, because the written status has them. */
  noteRecorded(key: string, entries: NonNullable<CertificateRecord['status']['secrets']>): void {
    const known = this.#unrecorded.get(key);
    for (const { role } of entries) known?.delete(role);
    if (known?.size === 0) this.#unrecorded.delete(key);
  }

  /** Forgets a deleted resource. */
  forget(key: string, namespace: string): void {
    this.#backoff.forget(key, namespace);
    this.#repairs.forget(key);
    this.#unrecorded.delete(key);
  }
}

function asRoleResult({ outcome: { role, problem }, failure }: StepResult): RoleResult {
  const isDelayed = problem?.reason === 'IssuanceFailed';
  if (failure === undefined) return { role, isDelayed };
  const { content } = role.secret ?? {};
  const expiry = content !== undefined && 'leaf' in content ? { expiry: content.leaf.notAfter } : {};
  return { role, isDelayed, failure: { ...failure, message: problem?.message ?? '', ...expiry } };
}
