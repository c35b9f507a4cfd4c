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
 * What a term remembers of resources between their reconciles, by key: failed attempts, repairs, and certificates that were
 * issued and that status does not have yet.
 */
export class CertificateMemory {
  readonly #backoff = new IssuanceBackoff();
  readonly #repairs = new RepairLimits();
  /** By key and role. See RoleOutcome.unrecorded. */
  readonly #unrecorded = new Map<string, Map<Role, readonly LeafRecord[]>>();

  /** The failed attempts at what a role requests now; undefined when none delay the next one. */
  failedAttempts(key: string, request: Request, role: Role, now: Date): FailedAttempts | undefined {
    return this.#backoff.get(key, request, role, now);
  }

  /** The role with the repairs that may delay the next one. */
  withRepairs(key: string, request: Request, role: ObservedRole, now: Date): ObservedRole {
    const { repairs: _, ...others } = role;
    const repairs = this.#repairs.get(key, request, role, now);
    return repairs === undefined ? others : { ...others, repairs };
  }

  /** True when it was not asked yet which client undid the last repair. */
  isWriterUnnamed(key: string, role: Role): boolean {
    return this.#repairs.isUnnamed(key, role);
  }

  /** Notes which client undid the last repair; undefined when that cannot be found out. */
  nameWriter(key: string, role: Role, changedBy: string | undefined): void {
    this.#repairs.name(key, role, changedBy);
  }

  /** Notes what was written. To be called even if another role failed: the writes have happened. */
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

  /** Notes which steps failed and which succeeded. To be called once a reconcile, before outcomesOf. */
  noteFailures(key: string, request: Request, results: readonly StepResult[], now: Date) {
    return this.#backoff.note(key, request, results.map(asRoleResult), now);
  }

  /**
   * The keys of resources in a namespace that need not wait any longer: a write has succeeded there, so that a quota or an
   * admission policy that refused them may have been changed.
   */
  wake(namespace: string, now: Date): string[] {
    return this.#backoff.wake(namespace, now);
  }

  /**
   * The outcomes of steps, with what is remembered of their roles.
   * @param failures what noteFailures returned
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

  /** Forgets issued certificates: status, which was written, has them. */
  noteRecorded(key: string, entries: NonNullable<CertificateRecord['status']['secrets']>): void {
    const known = this.#unrecorded.get(key);
    for (const { role } of entries) known?.delete(role);
    if (known?.size === 0) this.#unrecorded.delete(key);
  }

  /** Forgets a resource that is gone. */
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
