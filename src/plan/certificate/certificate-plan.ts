import { anchorId, namesOutsidePath, pathOf } from '../../pki/index.ts';
import {
  isNamedInAnnotation,
  isOurs,
  mayBeDeleted,
  type OwnedSecret,
  type OwnershipChange,
  ownershipChange,
} from '../records/ownership.ts';
import { namespacedRightHint } from '../text/missing-right.ts';
import { timestamp } from '../timing/timestamp.ts';
import type { AuthorityState, ReadyAuthority } from './authority-state.ts';
import { type LeafRequest, leafRequest } from './leaf-request.ts';
import { bundleIsGood, neededStep, outputSources, outputsOf } from './needed-step.ts';
import type { ObservedCertificate, ObservedRole } from './observed-certificate.ts';
import { withRepairBackoff } from './secret-contention.ts';
import { ownershipMetadata } from './secret-metadata.ts';
import { outputsProblem } from './secret-outputs.ts';
import type { SecretStep } from './secret-step.ts';
import { blocked, nameObstacle, writeObstacle } from './step-obstacles.ts';

export interface SecretPlan {
  readonly role: ObservedRole;
  readonly step: SecretStep;
}

/** The steps for an MtlsCertificate. A plan holds no key material and may be logged. */
export type CertificatePlan = PlanWithRoles | PlanWithoutRoles;

interface PlanWithRoles {
  readonly secrets: readonly [SecretPlan, ...SecretPlan[]];
  /** Secrets of the resource that no role needs. They are deleted after every step for `secrets` has succeeded. */
  readonly prune: readonly OwnedSecret[];
  /**
   * Secrets of `prune` that were written before the annotation secret-name existed. They get the annotation while
   * status still names them.
   */
  readonly annotate: readonly OwnedSecret[];
}

/**
 * The plan for a resource whose spec is not valid or requests no certificate, or whose authority has not been read yet.
 * The operator does not know which Secrets such a resource needs, so it deletes none.
 */
interface PlanWithoutRoles extends Pick<PlanWithRoles, 'annotate'> {
  readonly secrets: readonly [];
  readonly prune: readonly [];
}

/** Plans the steps for an MtlsCertificate. Pure: the same observation at the same time gives the same plan. */
export function planCertificate(observed: ObservedCertificate, now: Date): CertificatePlan {
  const { certificate, roles } = observed;
  if (isAwaitingCaches(observed)) return { secrets: [], prune: [], annotate: [] };
  // When the resource is being deleted, the garbage collector or deletionPolicy decides about its Secrets.
  const surplus = certificate.deleting ? [] : observed.surplus.filter((secret) => mayBeDeleted(secret, certificate));
  const annotate = surplus.filter((secret) => !isNamedInAnnotation(secret));
  const [first, ...others] = roles.map((role) => ({ role, step: planSecret(observed, role, now) }));
  if (first === undefined) return { secrets: [], prune: [], annotate };
  const isWhole = [first, ...others].every(({ step }) => step.step !== 'blocked');
  return { secrets: [first, ...others], prune: isWhole ? surplus : [], annotate };
}

/**
 * True while the authority, the Secrets of the namespace or the password of the keystores have not been read yet. The caches
 * deliver them shortly.
 */
export const isAwaitingCaches = ({ authority, secretsAccess, keystorePassword }: ObservedCertificate): boolean =>
  authority.state === 'unknown' ||
  secretsAccess === 'unknown' ||
  (secretsAccess !== 'forbidden' && keystorePassword?.state === 'unknown');

/**
 * Plans the step for one role. Called again for a single role after a write failed because the Secret is newer than the
 * observation.
 */
export const planSecret = (observed: ObservedCertificate, role: ObservedRole, now: Date): SecretStep =>
  withRepairBackoff(observed, role, planWithoutBackoff(observed, role, now), now);

function planWithoutBackoff(observed: ObservedCertificate, role: ObservedRole, now: Date): SecretStep {
  const step = planContent(observed, role, now);
  // The API server refused the last attempt. Do not retry with a part of the content.
  if (step.step !== 'blocked' || step.reason === 'IssuanceFailed' || !mayBeUpdated(observed, role)) return step;
  const { spec } = observed.certificate;
  const sources = outputSources(observed);
  // Pods that mount the truststore would not trust a root that is only in ca.crt.
  if (outputsProblem(spec, sources) !== undefined) return step;
  // Pods use a certificate that may not be renewed until it expires, so their trust bundle must stay up to date.
  const change = ownershipOf(observed, role);
  const unchanged = { labels: {}, annotations: {} };
  return {
    step: 'update',
    // Without an ownerReference, only the metadata says which resource owns the Secret.
    metadata:
      change.ownership === undefined ? unchanged : ownershipMetadata(observed.certificate, role.role, role.secret),
    ...change,
    ...outputsOf(role.secret, spec, sources),
    blocked: step,
  };
}

const ownershipOf = ({ certificate }: ObservedCertificate, { secret }: ObservedRole): OwnershipChange =>
  secret === undefined ? {} : ownershipChange(secret, certificate);

/** True for a readable Secret of this resource that has an outdated bundle or is not adopted yet. */
function mayBeUpdated(
  { certificate, authority }: ObservedCertificate,
  { role, secret, secretNameOwner }: ObservedRole,
): boolean {
  if (authority.state !== 'ready' || secretNameOwner !== undefined || secret === undefined) return false;
  if (!isOurs(secret, certificate, role) || !secret.writable || !('leaf' in secret.content)) return false;
  return !bundleIsGood(secret, authority) || ownershipChange(secret, certificate).ownership !== undefined;
}

/** The step that gives the Secret its requested content, or the first obstacle to that step. */
function planContent(observed: ObservedCertificate, role: ObservedRole, now: Date): SecretStep {
  const { certificate, authority } = observed;
  const { secret, foreign } = role;
  // Pods use an existing Secret, so it is kept up to date. The garbage collector would soon delete a new one.
  if (certificate.deleting && secret === undefined && foreign === undefined) return { step: 'keep' };
  if (observed.secretsAccess === 'forbidden') {
    const { namespace } = certificate;
    const hint = namespacedRightHint(namespace);
    return blocked('NamespaceUnreadable', `the operator may not read the Secrets in namespace ${namespace}; ${hint}`);
  }
  if (authority.state === 'unknown') return nameObstacle(observed, role) ?? { step: 'keep' };
  const request = nameObstacle(observed, role) ?? requestOf(observed, role, now);
  if ('step' in request) return request;
  const ready = authority.state === 'ready' ? { authority } : {};
  const step = neededStep({ certificate, role, request, now, ...ready }, outputSources(observed));
  if (step.step === 'keep' || step.step === 'blocked') return step;
  return writeObstacle({ observed, role, step, now }) ?? step;
}

/** The validated request of the role, or the reason for refusing it. */
function requestOf(observed: ObservedCertificate, role: ObservedRole, now: Date) {
  const { certificate, namespaceLabels: labels, labelsForbidden = false, authority } = observed;
  const { namespace, spec } = certificate;
  const { name } = spec.authorityRef;
  if (authority.state === 'missing')
    return blocked(
      'AuthorityNotFound',
      `MtlsAuthority ${name} does not exist; create it, or correct spec.authorityRef.name`,
    );
  if (authority.state === 'unknown') return { step: 'keep' } as const;
  const scope = { namespace, labels, labelsForbidden, ...authority, authority: name };
  const request = leafRequest(spec, role.role, scope);
  if ('reason' in request) {
    const { reason, message } = request;
    return blocked(reason, reason === 'Pending' ? message : message + currentLeafText(role, authority, now));
  }
  const excluded = authority.state === 'ready' ? outsideConstraints(request, authority) : [];
  return excluded.length > 0
    ? blocked(
        'NameConstrained',
        `the name constraints of MtlsAuthority ${name} exclude ${excluded.slice(0, 5).join(', ')}; remove these names from spec`,
      )
    : request;
}

/**
 * Says in a message how long the current certificate stays valid after its request was refused. Empty when there is
 * none.
 */
function currentLeafText({ secret, secretName }: ObservedRole, authority: AuthorityState, now: Date): string {
  if (secret === undefined || !('leaf' in secret.content) || authority.state !== 'ready') return '';
  const { leaf } = secret.content;
  if (!authority.bundle.roots.some((root) => anchorId(root) === leaf.root)) return '';
  return leaf.notAfter <= now
    ? `; the certificate in Secret ${secretName} has expired`
    : `; the certificate in Secret ${secretName} stays valid until ${timestamp(leaf.notAfter)} but is not renewed`;
}

const outsideConstraints = ({ profile }: LeafRequest, authority: ReadyAuthority): string[] =>
  namesOutsidePath(pathOf(authority), profile.names, profile.subject);
