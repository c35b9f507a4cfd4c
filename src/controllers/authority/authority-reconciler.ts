import { randomBytes } from 'node:crypto';
import { annotations, labels, managerName, secretKeys, secretType } from '../../api/constants.ts';
import {
  type GuardedClient,
  isKubeError,
  KubeError,
  type Log,
  type Secret,
  type Store,
  secrets as secretResource,
} from '../../kube/index.ts';
import {
  type Certificate,
  type Crl,
  caId,
  encodeCertificates,
  generatePrivateKey,
  type Issuer,
  issueRoot,
  type KeySpec,
  type RootProfile,
} from '../../pki/index.ts';
import {
  type AuthorityPlan,
  type AuthorityRecord,
  type AuthorityStep,
  type CrlPlan,
  crlSigners,
  type ObservedAuthority,
  planAuthority,
  planAuthorityStatus,
  planCrls,
  publishedState,
  type Revocation,
  type RevocationState,
  type RotationReport,
  rememberedRoots,
  signersAfter,
  signersIn,
  type WantedCondition,
} from '../../plan/index.ts';
import type { AuthorityChange, AuthorityStates } from '../cache/authority-states.ts';
import type { Recorder } from '../objects/recorder.ts';
import { authorities as authorityResource } from '../objects/resources.ts';
import { crlData, revocationReader } from '../objects/root-crl.ts';
import { type MadeRoot, madePair, rootSecret, rotationPatch } from '../objects/root-secret.ts';
import { base64 } from '../objects/secret-data.ts';
import { writeStatus } from '../objects/status-writer.ts';
import { authorityEvent, problemEvents } from './authority-events.ts';
import type { RolloutObserver } from './rollout-observer.ts';

/** What the controller works with; all of it is made in one place, operator.ts. */
export interface AuthorityContext {
  readonly client: GuardedClient;
  /** The operator's namespace, where root Secrets are. */
  readonly namespace: string;
  readonly authorities: Store<AuthorityRecord, 'rootSecret'>;
  readonly authorityStates: AuthorityStates;
  readonly rollout: RolloutObserver;
  /** The leaves of an authority that are to be revoked. */
  readonly asked: (authority: string, now: Date) => readonly Revocation[];
  /** The CRLs that an authority has published in the operator's namespace, read past the caches. */
  readonly publishedCrls: (authority: AuthorityRecord, signal: AbortSignal) => Promise<readonly Crl[]>;
  /** How many MtlsCertificates refer to an authority. */
  readonly certificateCount: (authority: string) => number;
  /** Called when certificates of an authority, and its published bundles, have to be looked at again. */
  readonly onChange: (authority: string, change: AuthorityChange) => void;
  /** What there is to say of its published bundles. */
  readonly trustConditions: (authority: AuthorityRecord) => readonly WantedCondition[];
  readonly recorder: Recorder;
  readonly log: Log;
  readonly now: () => Date;
}

/** More steps than ever follow each other without anything to wait for; then the queue takes its turn. */
const stepsAtOnce = 6;

/** What was observed, with the Secret that it was observed in: its keys are needed to carry out what is planned. */
interface Observation {
  readonly observed: ObservedAuthority;
  readonly live: Secret | undefined;
}

/** Makes, judges and rotates the roots of MtlsAuthorities: observe, plan, carry out, write status. */
export class AuthorityReconciler {
  readonly #context: AuthorityContext;
  /** What the root Secret of an authority, by UID, said of revocation when it was seen last. */
  readonly #revocations = new Map<string, RevocationState>();
  /** What was published when this process looked at it first: before anything of it can be written over from here. */
  readonly #published = new Map<string, readonly Crl[]>();
  readonly #readRevocation = revocationReader();
  #leadingSince = new Date(0);

  constructor(context: AuthorityContext) {
    this.#context = context;
  }

  /** This process begins to lead. What it remembers of an earlier term is forgotten: another one has led since. */
  beginToLead(): void {
    this.#leadingSince = this.#context.now();
    this.#revocations.clear();
    this.#published.clear();
  }

  async reconcile(name: string, { signal }: { signal: AbortSignal }): Promise<{ requeueAt: Date } | undefined> {
    const { authorities, authorityStates, onChange } = this.#context;
    const authority = authorities.get(name);
    if (authority === undefined) {
      authorityStates.delete(name);
      onChange(name, 'whole');
      return undefined;
    }
    const { observed, plan, plannedAt } = await this.#settle(authority, signal);
    const change = authorityStates.set(authority, plan.verdict, plan.rotation);
    if (change !== 'none') onChange(name, change);
    return this.#writeStatus(observed, plan, plannedAt, signal);
  }

  /** Judges a root without writing anything, for replicas that do not lead, and before Secrets are read at start. */
  async refresh(name: string, signal: AbortSignal): Promise<void> {
    const { authorities, authorityStates, now } = this.#context;
    const authority = authorities.get(name);
    if (authority === undefined) {
      authorityStates.delete(name);
      return;
    }
    const { observed } = await this.#observe(authority, signal);
    const { verdict, rotation } = planAuthority(observed, now());
    authorityStates.set(authority, verdict, rotation);
  }

  /** Takes one step after the other until there is nothing more to be done now. */
  async #settle(authority: AuthorityRecord, signal: AbortSignal) {
    const { rollout, now } = this.#context;
    for (let step = 0; ; step += 1) {
      let { observed, live } = await this.#observe(authority, signal);
      let plannedAt = now();
      let plan = planAuthority(observed, plannedAt);
      if (plan.step.step === 'rotate' && plan.step.proof === true) {
        await rollout.renew(authority, signal);
        ({ observed, live } = await this.#observe(authority, signal));
        plannedAt = now();
        plan = planAuthority(observed, plannedAt);
      }
      if (plan.step.step === 'keep') {
        if (plan.verdict.state === 'ready') this.#revocations.set(authority.uid, observed.revocation);
        return { observed, plan, plannedAt };
      }
      if (step === stepsAtOnce) throw new KubeError('Conflict', 'the root Secret changes all the time');
      await this.#carryOut(observed, plan.step, live, signal);
    }
  }

  async #observe(authority: AuthorityRecord, signal: AbortSignal): Promise<Observation> {
    const { client, namespace, certificateCount, rollout, asked, authorityStates, now } = this.#context;
    const held = authorityStates.material(authority.name)?.signer?.root;
    const common = {
      authority,
      certificates: certificateCount(authority.name),
      rollout: rollout.gather(authority),
      asked: asked(authority.name, now()),
      ...(held === undefined ? {} : { held }),
      leadingSince: this.#leadingSince,
    };
    // Always read live: a decision about a root rests on the root, and there are few of them.
    const live = await client.find(secretResource, { namespace, name: authority.spec.secretName }, { signal });
    const root = { ...common, ...(live === undefined ? {} : { secret: rootSecret(live, now()) }) };
    const revocation = this.#readRevocation(live);
    const revocationBefore = await this.#revocationBefore(authority, revocation, signersIn(root), signal);
    return { observed: { ...root, revocation, revocationBefore }, live };
  }

  /** What the root Secret said of revocation when it was seen last; what is published, when this process has not seen it. */
  async #revocationBefore(
    authority: AuthorityRecord,
    revocation: RevocationState,
    signers: readonly Issuer[],
    signal: AbortSignal,
  ): Promise<RevocationState> {
    const seen = this.#revocations.get(authority.uid);
    if (seen !== undefined) return seen;
    const published = this.#published.get(authority.uid) ?? (await this.#context.publishedCrls(authority, signal));
    this.#published.set(authority.uid, published);
    return publishedState(published, revocation, signers, rememberedRoots(authority.status));
  }

  async #carryOut(
    observed: ObservedAuthority,
    step: AuthorityStep,
    live: Secret | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, namespace, recorder } = this.#context;
    const { authority } = observed;
    const ref = { namespace, name: authority.spec.secretName };
    const record = (reason: string, note: string) => recorder.record(authorityEvent(authority, 'Normal', reason, note));
    try {
      if (step.step === 'create') {
        const made = await this.#makeRoot(step);
        const trusted = [made.certificate, ...step.remembered];
        const crls = this.#crlsOf(observed, [signerOf(made)], trusted);
        const data = { ...madePair('active', made), [secretKeys.bundle]: base64(encodeCertificates(trusted)), ...crls };
        const { rotateRootToken } = authority;
        const metadata = {
          ...ref,
          labels: { [labels.managedBy]: managerName },
          // Whoever asks for a new root before there is one has it now.
          ...(rotateRootToken === undefined ? {} : { annotations: { [annotations.rotateRoot]: rotateRootToken } }),
        };
        // Creation only: a root that is there is never written over, whoever else was quicker.
        const secret = { apiVersion: 'v1', kind: 'Secret', metadata, type: secretType, data };
        await client.create(secretResource, secret, { signal });
        record('RootCreated', `Created root ${made.certificate.fingerprint.slice(0, 16)} in Secret ${ref.name}`);
      } else if (step.step === 'remember') {
        const metadata = { resourceVersion: step.resourceVersion };
        const data = { [secretKeys.bundle]: base64(step.bundle.pem) };
        await client.mergePatch(secretResource, ref, { metadata, data }, { signal });
        record('RootReplaced', 'The active root was renewed; its predecessor goes on being trusted');
      } else if (step.step === 'rotate' && live !== undefined) {
        const made = step.make === undefined ? undefined : await this.#makeRoot(step.make);
        const patch = rotationPatch(live, step, made);
        // Whoever checks CRLs refuses a root that it has no list of: the two go out together.
        const signers = [...signersAfter(observed, step), ...(made === undefined ? [] : [signerOf(made)])];
        const data = { ...patch.data, ...this.#crlsOf(observed, signers, step.trusted) };
        await client.mergePatch(secretResource, ref, { ...patch, data }, { signal });
        record(step.event.reason, step.event.message);
      } else if (step.step === 'signCrls') {
        const metadata = { resourceVersion: step.resourceVersion };
        const data = crlData(step.plan, signersIn(observed));
        await client.mergePatch(secretResource, ref, { metadata, data }, { signal });
        this.#tellOfRevoked(observed, step.plan);
      }
    } catch (error) {
      // Somebody else was quicker; what is there now is looked at again.
      if (!isKubeError(error, 'AlreadyExists', 'Conflict')) throw error;
    }
  }

  /** The data of the root Secret that hold the CRLs of these signers; none when they are there already. */
  #crlsOf(
    { revocation, revocationBefore: before }: ObservedAuthority,
    signers: readonly Issuer[],
    trusted: readonly Certificate[],
  ): Record<string, string> {
    const plan = planCrls(revocation, signers, [], this.#context.now(), { before, trusted });
    return plan === undefined ? {} : crlData(plan, signers);
  }

  #tellOfRevoked(observed: ObservedAuthority, { revocations }: CrlPlan): void {
    const { recorder, log } = this.#context;
    const { authority, revocation } = observed;
    const before = new Set(revocation.revocations.map(({ serialNumber }) => serialNumber));
    const added = revocations.filter(({ serialNumber }) => !before.has(serialNumber));
    const issuers = new Set(crlSigners(signersIn(observed)).map(({ certificate }) => caId(certificate)));
    const listed = added.filter(({ issuer }) => issuers.has(issuer));
    const unlisted = added.filter(({ issuer }) => !issuers.has(issuer));
    const serials = listed.map(({ serialNumber }) => serialNumber);
    log.info('signed CRLs', { authority: authority.name, revoked: serials, entries: revocations.length });
    if (listed.length > 0) {
      const note = `On the CRL from now on: ${inWords(listed)}`;
      recorder.record(authorityEvent(authority, 'Normal', 'CertificatesRevoked', note));
    }
    if (unlisted.length === 0) return;
    const note = `On no CRL, since the key of their issuer is not here; peers refuse them when its root is not trusted any more: ${inWords(unlisted)}`;
    recorder.record(authorityEvent(authority, 'Warning', 'CertificatesNotListed', note));
  }

  /** Reports what a person has asked of a rotation in vain, once: status remembers it after a restart. */
  #tellOfRemarks(authority: AuthorityRecord, rotation: RotationReport | undefined): void {
    const said = authority.status.rotation?.blockers ?? [];
    for (const { reason, message, isExpected } of rotation?.remarks ?? []) {
      if (said.includes(message)) continue;
      const type = isExpected === true ? 'Normal' : 'Warning';
      this.#context.recorder.record(authorityEvent(authority, type, reason, message));
    }
  }

  async #makeRoot({ profile, key: spec }: { profile: RootProfile; key: KeySpec }): Promise<MadeRoot> {
    const key = await generatePrivateKey(spec);
    const certificate = issueRoot(profile, key, { now: this.#context.now(), serialSeed: randomBytes(20) });
    return { certificate, key };
  }

  async #writeStatus(
    observed: ObservedAuthority,
    plan: AuthorityPlan,
    plannedAt: Date,
    signal: AbortSignal,
  ): Promise<{ requeueAt: Date } | undefined> {
    const { client, authorities, trustConditions, recorder, now } = this.#context;
    const { authority } = observed;
    // As of the plan: what has become due since is not passed over, but looked at again at once.
    const { status: planned, revisitAt } = planAuthorityStatus(observed, plan, plannedAt);
    const status = { ...planned, conditions: [...planned.conditions, ...trustConditions(authority)] };
    const writer = { client, resource: authorityResource, store: authorities };
    if (!(await writeStatus(writer, authority, status, now(), signal))) return undefined;
    this.#tellOfRemarks(authority, plan.rotation);
    for (const event of problemEvents(authority, status.conditions, plan.verdict)) recorder.record(event);
    return revisitAt === undefined ? undefined : { requeueAt: revisitAt };
  }
}

/** The first serial numbers, and how many more there are. */
const inWords = (revocations: readonly Revocation[]): string => {
  const serials = revocations.slice(0, 10).map(({ serialNumber }) => serialNumber);
  const more = revocations.length - serials.length;
  return `${serials.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
};

const signerOf = ({ certificate, key }: MadeRoot): Issuer => ({
  certificate,
  key,
  intermediates: [],
  anchor: certificate,
});
