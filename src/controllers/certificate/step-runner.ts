import { isKubeError, KubeError } from '../../kube/index.ts';
import { PkiError } from '../../pki/index.ts';
import {
  type BlockedStep,
  contestedProblem,
  freeRepairs,
  isRepair,
  type ObservedCertificate,
  type ObservedRole,
  planSecret,
  type RoleOutcome,
  type SecretStep,
  stepCanWait,
} from '../../plan/index.ts';
import type { AuthorityStates } from '../cache/authority-states.ts';
import type { SigningMaterial } from '../cache/signing-material.ts';
import type { CertificateObservation } from './certificate-observer.ts';
import type { SecretFinder } from './secret-finder.ts';
import type { SecretWriter } from './secret-writer.ts';
import { dependsOnNewerRequest } from './stale-request.ts';
import type { StepResult } from './step-result.ts';
import { withSecret } from './step-result.ts';

export interface StepRunnerOptions {
  readonly finder: Pick<SecretFinder, 'findLive'>;
  readonly writer: Pick<SecretWriter, 'write'>;
  readonly authorityStates: Pick<AuthorityStates, 'material'>;
  /** Called when a certificate must be on the CRL of this authority before it can be replaced. */
  readonly onCrlAwaited: (authority: string) => void;
  readonly now: () => Date;
}

/** How often a step is planned again in one reconcile because the Secret has changed since it was observed. */
const maxReplans = 2;

type WritingStep = Exclude<SecretStep, { step: 'keep' | 'blocked' }>;

/** Carries out the steps of roles. */
export class StepRunner {
  readonly #options: StepRunnerOptions;

  constructor(options: StepRunnerOptions) {
    this.#options = options;
  }

  /**
   * Carries out one role's step. If the Secret has changed since it was observed, reads it and plans the step again.
   * @throws KubeError when only a retry of the whole reconcile can succeed
   */
  async run(
    { observed, material }: CertificateObservation,
    firstRole: ObservedRole,
    firstStep: SecretStep,
    signal: AbortSignal,
  ): Promise<StepResult> {
    let [role, step] = [firstRole, firstStep];
    for (let replans = 0; ; replans += 1) {
      this.#awaitCrl(observed, step);
      if (step.step === 'keep') return { outcome: { role } };
      if (step.step === 'blocked') return { outcome: { role, problem: problemOf(step) } };
      const isRepaired = isRepair(observed, role, step, this.#options.now());
      try {
        return await this.#write(observed, role, step, material, isRepaired, signal);
      } catch (error) {
        const failed = failureOf(error, role, step);
        if (failed !== undefined) return failed;
        const isSuperseded = isKubeError(error, 'Conflict', 'AlreadyExists', 'NotFound');
        if (isSuperseded && replans === maxReplans && isRepaired && (role.repairs?.count ?? 0) >= freeRepairs) {
          // The other writer is faster than the repair. Retries without a pause would only load the API server.
          return { outcome: { role, problem: contestedProblem(observed.certificate, role) }, isRepaired };
        }
        if (!isSuperseded || replans === maxReplans) throw error;
        ({ role, step } = await this.#replan(observed, role, signal));
        // The Secret is newer than the observed resource: the whole reconcile runs again, with the current resource.
        if (dependsOnNewerRequest(step, observed.certificate)) throw error;
      }
    }
  }

  #awaitCrl({ certificate }: ObservedCertificate, step: SecretStep): void {
    const obstacle = step.step === 'blocked' ? step : step.step === 'update' ? step.blocked : undefined;
    if (obstacle?.awaitsCrl === true) this.#options.onCrlAwaited(certificate.spec.authorityRef.name);
  }

  async #write(
    { certificate }: ObservedCertificate,
    role: ObservedRole,
    step: WritingStep,
    material: SigningMaterial | undefined,
    isRepaired: boolean,
    signal: AbortSignal,
  ): Promise<StepResult> {
    const { writer, authorityStates } = this.#options;
    // The plan is valid only for this issuer and this bundle.
    if (material === undefined || authorityStates.material(certificate.spec.authorityRef.name) !== material) {
      throw new KubeError('Conflict', 'the authority changed since it was observed');
    }
    const written = await writer.write(certificate, role, step, material, signal);
    const canWait = stepCanWait(step);
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
  }

  async #replan(observed: ObservedCertificate, before: ObservedRole, signal: AbortSignal) {
    const { finder, now } = this.#options;
    const role = withSecret(before, await finder.findLive(observed.certificate, before.secretName, signal));
    return { role, step: planSecret(observed, role, now()) };
  }
}

/** The result of a step that failed with a refusal of the API server or a PkiError; undefined for every other error. */
function failureOf(error: unknown, role: ObservedRole, step: WritingStep): StepResult | undefined {
  if (!isRefusal(error) && !(error instanceof PkiError)) return undefined;
  const problem = { reason: 'IssuanceFailed', message: error.message, canWait: stepCanWait(step) } as const;
  return { outcome: { role, problem }, failure: { isRefusal: isRefusal(error) } };
}

/** True when the API server refused the write. A retry then waits with backoff, because the cause may take time to pass. */
const isRefusal = (error: unknown): error is KubeError =>
  isKubeError(error, 'Forbidden', 'Invalid', 'BadRequest', 'ServerError');

const problemOf = ({ reason, message, canWait }: BlockedStep): NonNullable<RoleOutcome['problem']> => ({
  reason,
  message,
  canWait,
});
