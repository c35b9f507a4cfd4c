import { randomBytes } from 'node:crypto';
import { annotations, labels, managerName, secretKeys, secretType } from '../../api/constants.ts';
import {
  type GuardedClient,
  isKubeError,
  type Log,
  type LogFields,
  type Secret,
  secrets as secretResource,
} from '../../kube/index.ts';
import {
  type Certificate,
  encodeCertificates,
  generatePrivateKey,
  type Issuer,
  KeySigner,
  type KeySpec,
  prepareRoot,
  type RootProfile,
} from '../../pki/index.ts';
import {
  type AuthorityStep,
  type CrlPlan,
  encodePodLeaves,
  type ObservedAuthority,
  planCrls,
  signersAfter,
  signersIn,
} from '../../plan/index.ts';
import type { Recorder } from '../objects/event-sink.ts';
import { keyPairData, type NewRoot, rotationPatch } from '../objects/root-secret.ts';
import { base64 } from '../objects/secret-data.ts';
import { authorityEvent, revocationEvents } from './authority-events.ts';
import type { AuthorityObservation } from './authority-observer.ts';
import { signCrls } from './sign-crls.ts';

export interface RootSecretWriterOptions {
  readonly client: GuardedClient;
  /** The operator's namespace, which holds the root Secrets. */
  readonly namespace: string;
  readonly recorder: Recorder;
  readonly log: Log;
  readonly now: () => Date;
}

type Step<Name extends AuthorityStep['step']> = Extract<AuthorityStep, { step: Name }>;

/** Carries out the steps of authorities. Each step is one write of the root Secret. */
export class RootSecretWriter {
  readonly #options: RootSecretWriterOptions;

  constructor(options: RootSecretWriterOptions) {
    this.#options = options;
  }

  /**
   * Carries out a step. Writes nothing if another client has changed the Secret: the reconcile then observes again.
   * @throws KubeError
   */
  async carryOut({ observed, live }: AuthorityObservation, step: AuthorityStep, signal: AbortSignal): Promise<void> {
    try {
      if (step.step === 'create') await this.#create(observed, step, signal);
      else if (step.step === 'remember') await this.#remember(observed, step, signal);
      else if (step.step === 'rotate' && live !== undefined) await this.#rotate(observed, step, live, signal);
      else if (step.step === 'signCrls') await this.#signCrls(observed, step, signal);
      else if (step.step === 'recordPodLeaves') await this.#recordPodLeaves(observed, step, signal);
    } catch (error) {
      if (!isKubeError(error, 'AlreadyExists', 'Conflict')) throw error;
    }
  }

  /** Creates the root Secret with a new root. Never overwrites an existing Secret. */
  async #create(observed: ObservedAuthority, step: Step<'create'>, signal: AbortSignal): Promise<void> {
    const ref = this.#refOf(observed);
    const made = await this.#makeRoot(step);
    const trusted = [made.certificate, ...step.remembered];
    const crls = await this.#crlsOf(observed, [issuerOf(made)], trusted);
    const data = { ...keyPairData('active', made), [secretKeys.bundle]: base64(encodeCertificates(trusted)), ...crls };
    const { rotateRootToken } = observed.authority;
    const metadata = {
      ...ref,
      labels: { [labels.managedBy]: managerName },
      // A new root fulfils a `rotate-root` request that was made before the root existed.
      ...(rotateRootToken === undefined ? {} : { annotations: { [annotations.rotateRoot]: rotateRootToken } }),
    };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata, type: secretType, data };
    await this.#options.client.create(secretResource, secret, { signal });
    const { fingerprint } = made.certificate;
    this.#record(observed, 'RootCreated', `Created root ${fingerprint.slice(0, 16)} in Secret ${ref.name}`);
  }

  /** Adds the predecessor of a renewed root to `ca.crt`. */
  async #remember(observed: ObservedAuthority, step: Step<'remember'>, signal: AbortSignal): Promise<void> {
    const metadata = { resourceVersion: step.resourceVersion };
    const data = { [secretKeys.bundle]: base64(encodeCertificates(step.bundle.roots)) };
    await this.#options.client.mergePatch(secretResource, this.#refOf(observed), { metadata, data }, { signal });
    this.#record(observed, 'RootReplaced', 'The active root was renewed. Its predecessor stays trusted');
  }

  /** Carries out one step of a rotation, together with the CRLs of every root that is trusted after the step. */
  async #rotate(observed: ObservedAuthority, step: Step<'rotate'>, live: Secret, signal: AbortSignal): Promise<void> {
    const made = step.generate === undefined ? undefined : await this.#makeRoot(step.generate);
    const patch = rotationPatch(live, step, made);
    // A peer that checks CRLs refuses certificates if their root has no CRL, so root and CRL are in one write.
    const comes = made === undefined ? [] : [issuerOf(made)];
    const others = signersAfter(observed, step);
    // The CRL of the signing root comes first. In another order, the next reconcile would write all CRLs again.
    const signers = step.generate?.slot === 'active' ? [...comes, ...others] : [...others, ...comes];
    const data = { ...patch.data, ...(await this.#crlsOf(observed, signers, step.trusted)) };
    await this.#options.client.mergePatch(secretResource, this.#refOf(observed), { ...patch, data }, { signal });
    const { id, phase } = step.rotation ?? { id: step.endedRotation };
    this.#record(observed, step.event.reason, step.event.message, { rotation: id, phase });
  }

  async #signCrls(observed: ObservedAuthority, step: Step<'signCrls'>, signal: AbortSignal): Promise<void> {
    const metadata = { resourceVersion: step.resourceVersion };
    const data = await signCrls(step.plan, signersIn(observed));
    await this.#options.client.mergePatch(secretResource, this.#refOf(observed), { metadata, data }, { signal });
    this.#reportRevoked(observed, step.plan);
  }

  /** Records until when pods may hold certificates. Only after this write are certificates signed that are valid so long. */
  async #recordPodLeaves(
    observed: ObservedAuthority,
    { resourceVersion, podLeaves }: Step<'recordPodLeaves'>,
    signal: AbortSignal,
  ): Promise<void> {
    const metadata = {
      resourceVersion,
      annotations: { [annotations.podCertificates]: encodePodLeaves(podLeaves) },
    };
    await this.#options.client.mergePatch(secretResource, this.#refOf(observed), { metadata }, { signal });
  }

  #reportRevoked(observed: ObservedAuthority, plan: CrlPlan): void {
    const { recorder, log } = this.#options;
    const { revoked, events } = revocationEvents(observed, plan);
    log.info('signed CRLs', { authority: observed.authority.name, revoked, entries: plan.revocations.length });
    for (const event of events) recorder.record(event);
  }

  /** Reports a change of the root as an event and in the log. */
  #record({ authority }: ObservedAuthority, reason: string, note: string, rotation: LogFields = {}): void {
    const { recorder, log } = this.#options;
    log.info('changed a root Secret', { authority: authority.name, reason, ...rotation, note });
    recorder.record(authorityEvent(authority, 'Normal', reason, note));
  }

  #refOf({ authority }: ObservedAuthority) {
    return { namespace: this.#options.namespace, name: authority.spec.secretName };
  }

  /** The data of the root Secret with the CRLs of these signers; empty if the Secret already has them. */
  async #crlsOf(
    { revocation, revocationBefore: before }: ObservedAuthority,
    signers: readonly Issuer[],
    trusted: readonly Certificate[],
  ): Promise<Record<string, string>> {
    const plan = planCrls(revocation, signers, [], this.#options.now(), { before, trusted });
    return plan === undefined ? {} : signCrls(plan, signers);
  }

  async #makeRoot({ profile, key: spec }: { profile: RootProfile; key: KeySpec }): Promise<NewRoot> {
    const key = await generatePrivateKey(spec);
    const context = { now: this.#options.now(), serialSeed: randomBytes(20) };
    const certificate = await prepareRoot(profile, new KeySigner(key), context).sign();
    return { certificate, key };
  }
}

const issuerOf = ({ certificate, key }: NewRoot): Issuer => ({
  certificate,
  signer: new KeySigner(key),
  intermediates: [],
  anchor: certificate,
});
