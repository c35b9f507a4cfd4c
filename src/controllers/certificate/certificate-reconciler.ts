import { type GuardedClient, isKubeError, KubeError, refOf, type Store } from '../../kube/index.ts';
import { type LeafRecord, PkiError, type Role } from '../../pki/index.ts';
import {
  type AuthorityRecord,
  type Blocked,
  type CertificateRecord,
  contestedProblem,
  type FoundSecret,
  freeRepairs,
  isAwaitingCaches,
  isRepair,
  type KeystorePassword,
  type NamespaceRecord,
  type ObservedCertificate,
  type ObservedRole,
  planCertificate,
  planCertificateStatus,
  planSecret,
  type RoleOutcome,
  rememberedRoots,
  retainsSecrets,
  rolesOf,
  type SecretStep,
  secretNameOf,
  stepCanWait,
} from '../../plan/index.ts';
import type { AuthorityStates } from '../cache/authority-states.ts';
import type { SigningMaterial } from '../cache/signing-material.ts';
import type { Recorder } from '../objects/recorder.ts';
import { certificateRecord, certificates as certificateResource } from '../objects/resources.ts';
import { isSameJson } from '../objects/same-json.ts';
import { writeStatus } from '../objects/status-writer.ts';
import { rulesReader } from './authority-rules.ts';
import { adoptionEvent, type IssuedRole, issueEvents, problemEvents } from './certificate-events.ts';
import { IssuanceBackoff, type RoleResult } from './issuance-backoff.ts';
import { RepairLimits, type RepairResult } from './repair-limits.ts';
import type { RsaKeyPool } from './rsa-key-pool.ts';
import type { SecretFinder } from './secret-finder.ts';
import type { SecretNameOwnership } from './secret-name-ownership.ts';
import type { SecretWriter } from './secret-writer.ts';

/** What the controller works with; all of it is made in one place, operator.ts. */
export interface CertificateContext {
  readonly client: GuardedClient;
  readonly certificates: Pick<Store<CertificateRecord>, 'get' | 'observe' | 'observeOwnWrite' | 'trackWrite'>;
  readonly finder: SecretFinder;
  readonly namespaces: Store<NamespaceRecord>;
  readonly writer: SecretWriter;
  readonly authorityStates: AuthorityStates;
  readonly authorities: Store<AuthorityRecord, 'rootSecret'>;
  readonly secretNames: SecretNameOwnership;
  readonly keys: RsaKeyPool;
  /** The password of a resource's stores; undefined when it asks for none. */
  readonly keystorePassword: (certificate: CertificateRecord) => KeystorePassword | undefined;
  /** Called when something has to be on the CRL of an authority before it can be replaced. */
  readonly onCrlAwaited: (authority: string) => void;
  /** Called with the key of a resource whose failures do not delay it any longer. */
  readonly onRetry: (key: string) => void;
  readonly recorder: Recorder;
  readonly now: () => Date;
}

/** How long a key may be in the making before status speaks of it. */
const pendingGraceMs = 1000;

/** How often a write is planned anew within one reconcile, when it meets a Secret that is newer than the observation. */
const replans = 2;

/** Brings the Secrets of MtlsCertificates to what their specs ask for: observe, plan, carry out, write status. */
export class CertificateReconciler {
  readonly #context: CertificateContext;
  readonly #backoff = new IssuanceBackoff();
  readonly #repairs = new RepairLimits();
  /** What was issued and is not in status yet, by key and role: see RoleOutcome. */
  readonly #unrecorded = new Map<string, Map<Role, readonly LeafRecord[]>>();
  readonly #rulesOf = rulesReader();

  constructor(context: CertificateContext) {
    this.#context = context;
  }

  /** To be called at the beginning of a term: what was known in an earlier one is out of date. */
  beginToLead(): void {
    this.#backoff.clear();
    this.#repairs.clear();
    this.#unrecorded.clear();
  }

  async reconcile(key: string, { signal }: { signal: AbortSignal }): Promise<{ requeueAt: Date } | undefined> {
    const { certificates, writer, keys, now } = this.#context;
    const certificate = certificates.get(key);
    if (certificate === undefined) {
      this.#backoff.forget(key, refOf(key).namespace ?? '');
      this.#repairs.forget(key);
      this.#unrecorded.delete(key);
      keys.drop(key);
      return undefined;
    }
    const { observed: seen, material } = await this.#observe(key, certificate, signal);
    const observed = await this.#withWriters(key, seen, signal);
    if (isAwaitingCaches(observed)) return undefined;
    const plannedAt = now();
    const plan = planCertificate(observed, plannedAt);
    const isRepeat = plan.secrets.some(({ step }) => needsCurrent(step, certificate));
    if (isRepeat && !(await this.#isCurrent(certificate, signal))) return undefined;
    const settling = plan.secrets.map(({ role, step }) => this.#settle(observed, role, step, material, signal));
    const settled = await this.#ended(key, observed, settling);
    // A key that is made in a moment is not worth a status of its own; one that takes longer is.
    const pendingSince = settled.flatMap((one) => one.pendingSince ?? [])[0];
    const reportAt = new Date((pendingSince?.getTime() ?? 0) + pendingGraceMs);
    if (pendingSince !== undefined && reportAt > now()) return { requeueAt: reportAt };
    const isWhole = settled.every(({ outcome }) => outcome.problem === undefined);
    await (isWhole ? writer.prune(certificate, plan.prune, signal) : writer.mark(plan.mark, signal));
    const outcomes = this.#withHistory(key, this.#withFailures(key, observed, settled));
    return this.#writeStatus(key, observed, outcomes, plannedAt, signal);
  }

  /** Gathers what the decision rests on. The API server is only asked where the cache cannot know. */
  async #observe(key: string, certificate: CertificateRecord, signal: AbortSignal): Promise<Observation> {
    const { finder, namespaces, authorities, authorityStates, secretNames, keystorePassword, now } = this.#context;
    const namespaceLabels = namespaces.get(certificate.namespace)?.labels;
    const { name: authorityName } = certificate.spec.authorityRef;
    const record = authorities.get(authorityName);
    const authority =
      record === undefined
        ? { state: 'missing' as const }
        : { ...authorityStates.get(authorityName), ...this.#rulesOf(record) };
    const material = authorityStates.material(authorityName);
    const hadConflict = certificate.status.conditions?.some(({ reason }) => reason === 'SecretConflict') === true;
    const password = keystorePassword(certificate);
    const request = { certificate, authority, ...(password === undefined ? {} : { keystorePassword: password }) };
    const roles = await Promise.all(
      rolesOf(certificate.spec).map(async (role): Promise<ObservedRole> => {
        const secretName = secretNameOf(certificate.name, certificate.spec, role);
        const found = await finder.find(certificate, secretName, hadConflict, signal);
        const claimedBy = secretNames.holder(certificate, secretName, found.secret ?? found.foreign);
        const failed = this.#backoff.get(key, { certificate, authority }, role, now());
        const known = {
          ...(claimedBy === undefined ? {} : { claimedBy }),
          ...(failed === undefined ? {} : { failed }),
        };
        return this.#withKnownRepairs(key, request, withSecret({ role, secretName, ...known }, found));
      }),
    );
    const wanted = new Set(roles.map(({ secretName }) => secretName));
    const surplus = await finder.ownedBeside(certificate, wanted, signal);
    const known = {
      ...(namespaceLabels === undefined ? {} : { namespaceLabels }),
      ...(password === undefined ? {} : { keystorePassword: password }),
    };
    return { observed: { certificate, ...known, authority, roles, surplus }, material };
  }

  /**
   * False when the resource has changed since it was cached; it then comes again. Watches run at paces of their own: a
   * Secret that a later request has led to looks, beside a resource from before it, as if it had yet to be issued.
   */
  async #isCurrent(certificate: CertificateRecord, signal: AbortSignal): Promise<boolean> {
    const { client, certificates } = this.#context;
    const ref = { namespace: certificate.namespace, name: certificate.name };
    const found = await client.find(certificateResource, ref, { signal });
    if (found === undefined) return false;
    const live = certificateRecord(found);
    if (isSameRequest(live, certificate) && hasHandledTheSame(live, certificate)) return true;
    certificates.observe(live);
    return false;
  }

  /** Carries out one role's step; when a write meets a Secret that is newer than the observation, plans it anew. */
  async #settle(
    observed: ObservedCertificate,
    firstRole: ObservedRole,
    firstStep: SecretStep,
    material: SigningMaterial | undefined,
    signal: AbortSignal,
  ): Promise<Settled> {
    const { finder, writer, authorityStates, now } = this.#context;
    const { authorityRef } = observed.certificate.spec;
    let role = firstRole;
    let step = firstStep;
    for (let attempt = 0; ; attempt += 1) {
      if (step.step === 'keep') return { outcome: { role } };
      const obstacle = step.step === 'blocked' ? step : step.step === 'update' ? step.blocked : undefined;
      if (obstacle?.awaitsCrl === true) this.#context.onCrlAwaited(authorityRef.name);
      if (step.step === 'blocked') return { outcome: { role, problem: problemOf(step) } };
      const canWait = stepCanWait(step);
      const isRepaired = isRepair(observed, role, step, now());
      try {
        // What signs, or is trusted, must still be what the plan was made for.
        if (material === undefined || authorityStates.material(authorityRef.name) !== material) {
          throw new KubeError('Conflict', 'the authority changed since it was observed');
        }
        const written = await writer.write(observed.certificate, role, step, material, signal);
        if ('refused' in written) {
          return { outcome: { role, problem: { reason: written.refused, message: written.message, canWait } } };
        }
        if ('since' in written) {
          const problem = { reason: 'Pending', message: written.message, canWait } as const;
          return { outcome: { role, problem }, pendingSince: written.since };
        }
        const { secret, keptKey } = written;
        const outcome = { role: withSecret(role, { secret }) };
        const done = { isWritten: true, isRepaired, adopted: step.ownership === 'adopt' };
        if (step.step === 'issue') return { outcome, ...done, issued: { reason: step.reason, keptKey } };
        const problem = step.blocked === undefined ? {} : { problem: problemOf(step.blocked) };
        return { outcome: { ...outcome, ...problem }, ...done };
      } catch (error) {
        if (isRefusal(error) || error instanceof PkiError) {
          const problem = { reason: 'IssuanceFailed', message: error.message, canWait } as const;
          return { outcome: { role, problem }, failure: { isRefusal: isRefusal(error) } };
        }
        const isOvertaken = isKubeError(error, 'Conflict', 'AlreadyExists', 'NotFound');
        if (isOvertaken && attempt === replans && isRepaired && (role.repairs?.count ?? 0) >= freeRepairs) {
          // A writer that is quicker than a repair: trying without a pause would only keep the API server busy.
          const problem = contestedProblem(observed.certificate, role);
          return { outcome: { role, problem }, isRepaired };
        }
        if (attempt === replans || !isOvertaken) throw error;
        role = withSecret(role, await finder.findLive(observed.certificate, role.secretName, signal));
        step = planSecret(observed, role, now());
        // The Secret is ahead of the resource as it was observed: begin anew, with the question what is asked for now.
        if (needsCurrent(step, observed.certificate)) throw error;
      }
    }
  }

  /**
   * All results, or the first error, but never before all have ended: the next reconcile of the key must not meet this one.
   * What was issued or adopted is told first: it has happened, whatever becomes of the other roles and of status.
   */
  async #ended(
    key: string,
    observed: ObservedCertificate,
    settling: ReadonlyArray<Promise<Settled>>,
  ): Promise<Settled[]> {
    const { recorder } = this.#context;
    const { certificate } = observed;
    const results = await Promise.allSettled(settling);
    const settled = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    this.#noteWritten(key, observed, settled);
    const issued: IssuedRole[] = settled.flatMap(({ outcome: { role }, issued: issue }) =>
      issue === undefined ? [] : [{ role, ...issue }],
    );
    const adopted = settled.flatMap((one) => (one.adopted === true ? one.outcome.role.secretName : []));
    for (const secretName of adopted) recorder.record(adoptionEvent(certificate, secretName));
    for (const event of issueEvents(certificate, issued)) recorder.record(event);
    return Promise.all(settling);
  }

  /** Asks once, after every repair that was undone, who has undone it. */
  async #withWriters(key: string, observed: ObservedCertificate, signal: AbortSignal): Promise<ObservedCertificate> {
    const { writer, now } = this.#context;
    const { certificate } = observed;
    const { namespace } = certificate;
    const contested = planCertificate(observed, now()).secrets.filter(
      ({ role, step }) =>
        step.step === 'blocked' && step.reason === 'SecretContested' && this.#repairs.isUnnamed(key, role.role),
    );
    if (contested.length === 0) return observed;
    for (const { role } of contested) {
      this.#repairs.name(key, role.role, await writer.lastWriter(namespace, role.secretName, signal));
    }
    return { ...observed, roles: observed.roles.map((role) => this.#withKnownRepairs(key, observed, role)) };
  }

  #withKnownRepairs(
    key: string,
    observed: Pick<ObservedCertificate, 'certificate' | 'authority' | 'keystorePassword'>,
    role: ObservedRole,
  ): ObservedRole {
    const { repairs: _, ...others } = role;
    const repairs = this.#repairs.get(key, observed, role, this.#context.now());
    return repairs === undefined ? others : { ...others, repairs };
  }

  /** Notes what was written, whatever becomes of the other roles and of status: repairs are counted in any case. */
  #noteWritten(key: string, observed: ObservedCertificate, settled: readonly Settled[]): void {
    const results = settled.map(
      ({ outcome: { role }, isWritten = false, isRepaired = false }): RepairResult => ({
        role,
        isWritten,
        isRepair: isRepaired,
      }),
    );
    this.#repairs.note(key, observed, results, this.#context.now());
    const unrecorded = this.#unrecorded.get(key) ?? new Map<Role, readonly LeafRecord[]>();
    for (const { outcome, issued } of settled) {
      const { role, secret } = outcome.role;
      if (issued === undefined || secret === undefined || !('leaf' in secret.content)) continue;
      unrecorded.set(role, [...(unrecorded.get(role) ?? []), secret.content.leaf]);
    }
    if (unrecorded.size > 0) this.#unrecorded.set(key, unrecorded);
  }

  /** The outcomes with what was repaired of late, and with all that was issued since status was written. */
  #withHistory(key: string, settled: readonly Settled[]): Settled[] {
    const [repairs, unrecorded] = [this.#repairs.of(key), this.#unrecorded.get(key)];
    return settled.map((one) => {
      const { repairs: _, ...role } = one.outcome.role;
      const [repaired, issued] = [repairs.get(role.role), unrecorded?.get(role.role)];
      return {
        ...one,
        outcome: {
          ...one.outcome,
          role: repaired === undefined ? role : { ...role, repairs: repaired },
          ...(issued === undefined ? {} : { unrecorded: issued }),
        },
      };
    });
  }

  /** The outcomes with what has failed up to now. A write that succeeded has others tried again that were refused. */
  #withFailures(key: string, observed: ObservedCertificate, settled: readonly Settled[]): Settled[] {
    const { now, onRetry } = this.#context;
    const failures = this.#backoff.note(key, observed, settled.map(resultOf), now());
    if (settled.some(({ isWritten }) => isWritten === true)) {
      for (const other of this.#backoff.wake(observed.certificate.namespace, now())) onRetry(other);
    }
    return settled.map((one) => {
      const failed = failures.get(one.outcome.role.role);
      return failed === undefined ? one : { ...one, outcome: { ...one.outcome, failed } };
    });
  }

  #recorded(key: string, entries: NonNullable<CertificateRecord['status']['secrets']>): void {
    const known = this.#unrecorded.get(key);
    for (const { role } of entries) known?.delete(role);
    if (known?.size === 0) this.#unrecorded.delete(key);
  }

  async #writeStatus(
    key: string,
    { certificate, authority }: ObservedCertificate,
    settled: readonly Settled[],
    plannedAt: Date,
    signal: AbortSignal,
  ): Promise<{ requeueAt: Date } | undefined> {
    const { client, authorities, certificates, recorder, now } = this.#context;
    const outcomes = settled.map(({ outcome }) => outcome);
    // While its root is bad, the roots that were trusted before go on being so.
    const record = authorities.get(certificate.spec.authorityRef.name);
    const remembered = record === undefined ? [] : rememberedRoots(record.status);
    const roots = authority.state === 'ready' ? authority.bundle.roots : remembered;
    // As of the plan: what has become due since is not passed over, but looked at again at once.
    const { status, revisitAt } = planCertificateStatus(certificate, outcomes, plannedAt, roots, authority);
    const writer = { client, resource: certificateResource, store: certificates };
    const isWritten = await writeStatus(writer, certificate, status, now(), signal);
    if (!isWritten) return undefined;
    this.#recorded(key, status.secrets ?? []);
    for (const event of problemEvents(certificate, status.conditions, authority)) recorder.record(event);
    return revisitAt === undefined ? undefined : { requeueAt: revisitAt };
  }
}

interface Observation {
  readonly observed: ObservedCertificate;
  /** Roots and signer, as of the same moment as the observed view of the authority. */
  readonly material: SigningMaterial | undefined;
}

interface Settled {
  readonly outcome: RoleOutcome;
  readonly issued?: Omit<IssuedRole, 'role'>;
  readonly adopted?: boolean;
  readonly isWritten?: boolean;
  /** What another writer did to the Secret was undone, or is now as often as it was tried. */
  readonly isRepaired?: boolean;
  /** Present when the step was tried and failed. */
  readonly failure?: { readonly isRefusal: boolean };
  /** Since when its key is being made. */
  readonly pendingSince?: Date;
}

const problemOf = ({ reason, message, canWait }: Blocked): NonNullable<RoleOutcome['problem']> => ({
  reason,
  message,
  canWait,
});

function withSecret(observed: ObservedRole, found: FoundSecret): ObservedRole {
  const { secret: _, foreign: __, ...role } = observed;
  return { ...role, ...found };
}

/** What delays depend on. */
function resultOf({ outcome: { role, problem }, failure }: Settled): RoleResult {
  const isDelayed = problem?.reason === 'IssuanceFailed';
  if (failure === undefined) return { role, isDelayed };
  const { content } = role.secret ?? {};
  const expiry = content !== undefined && 'leaf' in content ? { expiry: content.leaf.notAfter } : {};
  return { role, isDelayed, failure: { ...failure, message: problem?.message ?? '', ...expiry } };
}

/**
 * False for the first issue, which nothing can have come before. Another issue may be the answer to an old view of the
 * resource, and is rare enough to ask for a new one. An adoption too: `kubectl delete --cascade=orphan` takes the
 * ownerReference off so that the Secret survives, and the watch may show that before it shows the deletion.
 */
const needsCurrent = (step: SecretStep, certificate: CertificateRecord): boolean =>
  isAdoption(step) ||
  (step.step === 'issue' &&
    (step.reason !== 'SecretMissing' ||
      (certificate.status.secrets ?? []).length > 0 ||
      // Nothing would delete such a Secret should the resource be gone.
      retainsSecrets(certificate)));

const isAdoption = (step: SecretStep): boolean =>
  (step.step === 'issue' || step.step === 'update') && step.ownership === 'adopt';

/** True when nothing has changed that a person asks for. */
const isSameRequest = (a: CertificateRecord, b: CertificateRecord): boolean =>
  a.uid === b.uid &&
  a.generation === b.generation &&
  a.rotateToken === b.rotateToken &&
  a.revokeToken === b.revokeToken &&
  a.deleting === b.deleting;

const hasHandledTheSame = (a: CertificateRecord, b: CertificateRecord): boolean =>
  isSameJson(handledIn(a), handledIn(b));

const handledIn = ({ status: { lastHandledRotate, lastHandledRevoke, secrets = [] } }: CertificateRecord) => [
  lastHandledRotate,
  lastHandledRevoke,
  secrets.map(({ role, handledRotate, handledRevoke }) => [role, handledRotate, handledRevoke]),
];

/** The API server looked at the write and said no; what it will say next time has to be waited for. */
const isRefusal = (error: unknown): error is KubeError =>
  isKubeError(error, 'Forbidden', 'Invalid', 'BadRequest', 'ServerError');
