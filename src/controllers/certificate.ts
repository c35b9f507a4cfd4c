import { secretKeys, secretType } from '../api/names.ts';
import {
  isKubeError,
  type KubeClient,
  KubeError,
  keyOf,
  type Log,
  type Secret,
  type Store,
  secrets as secretResource,
} from '../kube/index.ts';
import { describeKeySpec, type Role } from '../pki/index.ts';
import {
  afterFailure,
  type CertificateRecord,
  type Failures,
  type HeldBack,
  type IssueReason,
  isOnlyDue,
  type ObservedCertificate,
  type ObservedRole,
  planCertificate,
  planCertificateStatus,
  planSecret,
  type RoleOutcome,
  rolesOf,
  type SecretContent,
  type SecretRecord,
  type SecretStep,
  secretNameOf,
} from '../plan/index.ts';
import type { AuthorityViews } from './authority-views.ts';
import { certificateEvents, type IssuedRole, type Recorder } from './certificate-events.ts';
import type { Claims } from './claims.ts';
import { base64, issueContent, keptKey, type Signer } from './issuer.ts';
import type { KeyMaker } from './key-maker.ts';
import { certificateRecord, certificates as certificateResource } from './resources.ts';
import { ownerReference, secretRecord } from './secret-record.ts';
import { statusPatch } from './status-patch.ts';

/** What the controller works with; all of it is made in one place, operator.ts. */
export interface CertificateContext {
  readonly client: KubeClient;
  readonly certificates: CertificateStore;
  readonly secrets: SecretStore;
  readonly views: AuthorityViews;
  /** Whether an authority exists, looked at or not. */
  readonly authorityExists: (name: string) => boolean;
  readonly claims: Claims;
  readonly recorder: Recorder;
  readonly now: () => Date;
  readonly keys: KeyMaker;
  readonly log: Log;
  readonly onIssued: (role: string, reason: string) => void;
}

export type CertificateStore = Store<CertificateRecord, 'authority' | 'secret'>;
export type SecretStore = Store<SecretRecord, 'owner'>;

/** Brings the Secrets of MtlsCertificates to what their specs ask for: observe, plan, carry out, write status. */
export class CertificateReconciler {
  readonly #context: CertificateContext;
  /** Failed attempts by key, and what was attempted: anything new is tried at once. */
  readonly #heldBack = new Map<string, HeldBack & { attempt: string }>();

  constructor(context: CertificateContext) {
    this.#context = context;
  }

  async reconcile(key: string, { signal }: { signal: AbortSignal }): Promise<{ requeueAt: Date } | undefined> {
    const { certificates, now } = this.#context;
    const certificate = certificates.get(key);
    if (certificate === undefined) {
      this.#heldBack.delete(key);
      this.#context.keys.drop(key);
      return undefined;
    }
    const { observed, signer } = await this.#observe(certificate, signal);
    const heldBack = this.#heldBackFor(key, observed);
    const plan = planCertificate(observed, now(), heldBack);
    if (plan.secrets.length === 0) return undefined;
    const settled = await Promise.all(
      plan.secrets.map((planned) => this.#settle(observed, planned.role, planned.step, signer, heldBack, signal)),
    );
    // A key that is made in a moment is not worth a status of its own; one that takes longer is.
    const pendingSince = settled.flatMap((one) => one.pendingSince ?? [])[0];
    const reportAt = new Date((pendingSince?.getTime() ?? 0) + pendingGraceMs);
    if (pendingSince !== undefined && reportAt > now()) return { requeueAt: reportAt };
    const failures = this.#noteFailures(key, observed, settled, heldBack);
    if (settled.every(({ outcome }) => outcome.problem === undefined)) await this.#prune(plan.prune, signal);
    return this.#writeStatus(certificate, settled, failures, signal);
  }

  /** Gathers what the decision rests on. The API server is only asked where the cache cannot know. */
  async #observe(certificate: CertificateRecord, signal: AbortSignal): Promise<Observation> {
    const { secrets, views, authorityExists, claims } = this.#context;
    const { name: authorityName } = certificate.spec.authorityRef;
    const authority = authorityExists(authorityName) ? views.view(authorityName) : { state: 'missing' as const };
    const signer = views.signer(authorityName);
    const hadConflict = certificate.status.conditions?.some(({ reason }) => reason === 'SecretConflict') === true;
    const roles = await Promise.all(
      rolesOf(certificate.spec).map(async (role): Promise<ObservedRole> => {
        const secretName = secretNameOf(certificate.name, certificate.spec, role);
        const cached = secrets.get(keyOf({ namespace: certificate.namespace, name: secretName }));
        const claimedBy = claims.holder(certificate, secretName, cached);
        // A Secret of others is not in the cache, and one that was read before its root was known has to be read again.
        const isUnsure = cached === undefined ? hadConflict : this.#rootIsUnread(cached, signer);
        const secret = isUnsure ? await this.#readSecret(certificate.namespace, secretName, signal) : cached;
        return {
          role,
          secretName,
          ...(secret === undefined ? {} : { secret }),
          ...(claimedBy === undefined ? {} : { claimedBy }),
        };
      }),
    );
    const wanted = new Set(roles.map(({ secretName }) => secretName));
    const surplus = secrets.by('owner', certificate.uid).filter(({ name }) => !wanted.has(name));
    return { observed: { certificate, authority, roles, surplus }, signer };
  }

  #rootIsUnread({ content }: SecretRecord, signer: Signer | undefined): boolean {
    return (
      'leaf' in content &&
      content.leaf.root === undefined &&
      signer?.bundle.roots.some(({ subjectKeyId }) => subjectKeyId === content.leaf.authorityKeyId) === true
    );
  }

  /** Carries out one role's step; when a write meets a Secret that is newer than the observation, plans it anew. */
  async #settle(
    observed: ObservedCertificate,
    firstRole: ObservedRole,
    firstStep: SecretStep,
    signer: Signer | undefined,
    heldBack: HeldBack | undefined,
    signal: AbortSignal,
  ): Promise<Settled> {
    let role = firstRole;
    let step = firstStep;
    for (let attempt = 0; ; attempt += 1) {
      if (step.step === 'keep') return { outcome: { role } };
      if (step.step === 'blocked') {
        const { reason, message, onlyDue } = step;
        return { outcome: { role, problem: { reason, message, onlyDue } } };
      }
      try {
        const secret = await this.#write(observed.certificate, role, step, signer, signal);
        if ('since' in secret) {
          const problem = { reason: 'Pending', message: secret.message, onlyDue: isOnlyDue(step) } as const;
          return { outcome: { role, problem }, pendingSince: secret.since };
        }
        return { outcome: { role: { ...role, secret } }, ...(step.step === 'issue' ? { issued: step.reason } : {}) };
      } catch (error) {
        if (isRefusal(error)) {
          const problem = { reason: 'IssuanceFailed', message: error.message, onlyDue: isOnlyDue(step) } as const;
          return { outcome: { role, problem }, failed: true };
        }
        if (attempt === 2 || !isKubeError(error, 'Conflict', 'AlreadyExists', 'NotFound')) throw error;
        const secret = await this.#readSecret(observed.certificate.namespace, role.secretName, signal);
        const { secret: _, ...rest } = role;
        role = secret === undefined ? rest : { ...rest, secret };
        step = planSecret(observed, role, this.#context.now(), heldBack);
      }
    }
  }

  /** The one place from which Secrets are written. Every write has a precondition: absence, or the state observed. */
  async #write(
    certificate: CertificateRecord,
    { role, secretName, secret }: ObservedRole,
    step: Extract<SecretStep, { step: 'issue' | 'update' }>,
    signer: Signer | undefined,
    signal: AbortSignal,
  ): Promise<SecretRecord | Pending> {
    const { client, now } = this.#context;
    if (signer === undefined) throw new KubeError('Conflict', 'the authority changed since it was observed');
    const ref = { namespace: certificate.namespace, name: secretName };
    const precondition = { uid: secret?.uid, resourceVersion: secret?.resourceVersion };
    if (step.step === 'update') {
      const data = { [secretKeys.bundle]: base64(signer.bundle.pem) };
      const patch = { metadata: { ...precondition, ...step.metadata }, data };
      return this.#remember(await client.mergePatch(secretResource, ref, patch, { signal }));
    }
    const key =
      (step.keepKey ? keptKey(step.request, await this.#readKey(ref, secret, signal)) : undefined) ??
      (await this.#context.keys.take(keyOf(certificate), role, step.request.key, now()));
    if ('since' in key) {
      return { since: key.since, message: `the ${describeKeySpec(step.request.key)} key is being generated` };
    }
    const { data, content } = issueContent(step.request, key, signer, now());
    if (step.write === 'update') {
      const patch = { metadata: { ...precondition, ...step.metadata }, data };
      return this.#issued(await client.mergePatch(secretResource, ref, patch, { signal }), content, role, step.reason);
    }
    if (step.write === 'replace') await client.delete(secretResource, ref, { ...precondition, signal });
    const metadata = {
      ...ref,
      labels: present(step.metadata.labels),
      annotations: present(step.metadata.annotations),
      ownerReferences: [ownerReference(certificate)],
    };
    const created = await client.create(
      secretResource,
      { apiVersion: 'v1', kind: 'Secret', metadata, type: secretType, data },
      { signal },
    );
    return this.#issued(created, content, role, step.reason);
  }

  #issued(written: Secret, content: SecretContent, role: Role, reason: IssueReason): SecretRecord {
    const { onIssued, log } = this.#context;
    const { namespace, name } = written.metadata;
    const leaf = 'leaf' in content ? content.leaf : undefined;
    onIssued(role, reason);
    // The audit trail of a certificate authority: every signature, with what identifies it.
    log.info('issued a certificate', {
      namespace,
      secret: name,
      role,
      reason,
      serialNumber: leaf?.serialNumber,
      notAfter: leaf?.notAfter,
    });
    return this.#remember(written, content);
  }

  /** The key of a Secret that is to keep it, provided that nobody has changed the Secret since it was observed. */
  async #readKey(ref: Ref, secret: SecretRecord | undefined, signal: AbortSignal): Promise<string> {
    const live = await this.#context.client.get(secretResource, ref, { signal });
    if (live.metadata.resourceVersion !== secret?.resourceVersion) {
      throw new KubeError('Conflict', 'the Secret changed since it was observed');
    }
    return Buffer.from(live.data?.[secretKeys.privateKey] ?? '', 'base64').toString('latin1');
  }

  /** Reads a Secret past the cache. It goes into the cache only if it is one that the cache follows. */
  async #readSecret(namespace: string, name: string, signal: AbortSignal): Promise<SecretRecord | undefined> {
    const { client, views } = this.#context;
    try {
      const live = await client.get(secretResource, { namespace, name }, { signal });
      return secretRecord(live, views.roots());
    } catch (error) {
      if (isKubeError(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  #remember(secret: Secret, content?: SecretContent): SecretRecord {
    const { secrets, views } = this.#context;
    const record = secretRecord(secret, views.roots(), content);
    secrets.observe(record);
    return record;
  }

  /** Deletes Secrets that no role wants any more. */
  async #prune(surplus: readonly SecretRecord[], signal: AbortSignal): Promise<void> {
    for (const { namespace, name, uid, resourceVersion } of surplus) {
      try {
        await this.#context.client.delete(secretResource, { namespace, name }, { uid, resourceVersion, signal });
      } catch (error) {
        // Changed or gone meanwhile: its event brings the resource back here.
        if (!isKubeError(error, 'NotFound', 'Conflict')) throw error;
      }
    }
  }

  /** The failed attempt that holds the next one back, as long as nothing has changed that could make it succeed. */
  #heldBackFor(key: string, observed: ObservedCertificate): HeldBack | undefined {
    const known = this.#heldBack.get(key);
    if (known !== undefined) return known.attempt === attemptOf(observed) ? known : undefined;
    // After a restart only status remembers.
    const { status, generation } = observed.certificate;
    if (status.nextRetryTime === undefined || status.observedGeneration !== generation) return undefined;
    const failures = {
      attempts: status.failedIssuanceAttempts ?? 1,
      lastFailureTime: new Date(status.lastFailureTime ?? status.nextRetryTime),
      nextRetryTime: new Date(status.nextRetryTime),
    };
    const message =
      status.conditions?.find(({ reason }) => reason === 'IssuanceFailed')?.message ?? 'the last attempt failed';
    return { failures, message };
  }

  #noteFailures(
    key: string,
    observed: ObservedCertificate,
    settled: readonly Settled[],
    heldBack: HeldBack | undefined,
  ): Failures | undefined {
    const { now } = this.#context;
    const failed = settled.find((one) => one.failed === true);
    if (failed === undefined) {
      const isWaiting = settled.some(({ outcome }) => outcome.problem?.reason === 'IssuanceFailed');
      if (isWaiting) return heldBack?.failures;
      this.#heldBack.delete(key);
      return undefined;
    }
    const { content } = failed.outcome.role.secret ?? {};
    const expiry = content !== undefined && 'leaf' in content ? content.leaf.notAfter : undefined;
    const failures = afterFailure(heldBack?.failures.attempts ?? 0, now(), observed.certificate.uid, expiry);
    const message = failed.outcome.problem?.message ?? '';
    this.#heldBack.set(key, { failures, message, attempt: attemptOf(observed) });
    return failures;
  }

  async #writeStatus(
    certificate: CertificateRecord,
    settled: readonly Settled[],
    failures: Failures | undefined,
    signal: AbortSignal,
  ): Promise<{ requeueAt: Date } | undefined> {
    const { client, certificates, recorder, now } = this.#context;
    const outcomes = settled.map(({ outcome }) => outcome);
    const { status, revisitAt } = planCertificateStatus(certificate, outcomes, failures, now());
    const patch = statusPatch(certificate.status, status, now());
    if (patch !== undefined) {
      const ref = { namespace: certificate.namespace, name: certificate.name };
      // The UID keeps the status of a resource that was deleted from its successor of the same name.
      const body = { metadata: { uid: certificate.uid }, status: patch };
      try {
        const written = await client.mergePatch(certificateResource, ref, body, { subresource: 'status', signal });
        certificates.observe(certificateRecord(written));
      } catch (error) {
        if (isKubeError(error, 'NotFound', 'Conflict')) return undefined;
        throw error;
      }
    }
    const issued: IssuedRole[] = settled.flatMap(({ outcome, issued: reason }) =>
      reason === undefined ? [] : [{ role: outcome.role, reason }],
    );
    for (const event of certificateEvents(certificate, status.conditions, issued)) recorder.record(event);
    return revisitAt === undefined ? undefined : { requeueAt: revisitAt };
  }
}

interface Ref {
  readonly namespace: string;
  readonly name: string;
}

interface Observation {
  readonly observed: ObservedCertificate;
  /** What signs, as of the same moment as the observed view of the authority. */
  readonly signer: Signer | undefined;
}

interface Settled {
  readonly outcome: RoleOutcome;
  readonly issued?: IssuedRole['reason'];
  readonly failed?: boolean;
  /** Since when its key is being made. */
  readonly pendingSince?: Date;
}

/** A step that cannot be carried out yet. */
interface Pending {
  readonly since: Date;
  readonly message: string;
}

/** How long a key may be in the making before status speaks of it. */
const pendingGraceMs = 1000;

/** The API server looked at the write and said no; what it will say next time has to be waited for. */
const isRefusal = (error: unknown): error is KubeError =>
  isKubeError(error, 'Forbidden', 'Invalid', 'BadRequest', 'ServerError') && !error.namespaceTerminating;

/** What an attempt was about: as long as this stays, another attempt is the same one. */
function attemptOf({ certificate, authority }: ObservedCertificate): string {
  const root = authority.state === 'ready' ? authority.bundle.digest : authority.state;
  return [certificate.uid, certificate.generation, certificate.rotateToken ?? '', root].join('/');
}

const present = (metadata: Readonly<Record<string, string | null>>): Record<string, string> =>
  Object.fromEntries(Object.entries(metadata).filter((entry): entry is [string, string] => entry[1] !== null));
