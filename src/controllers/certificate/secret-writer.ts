import { randomBytes } from 'node:crypto';
import { annotations, secretKeys, secretType } from '../../api/constants.ts';
import type { CertificateReason } from '../../api/reasons.ts';
import {
  type GuardedClient,
  KubeError,
  type KubeObject,
  keyOf,
  type Log,
  type Secret,
  type Served,
  secrets as secretResource,
} from '../../kube/index.ts';
import {
  type Certificate,
  chainWithin,
  describeKeySpec,
  encodeCertificates,
  encodePrivateKey,
  issueLeaf,
  type Role,
} from '../../pki/index.ts';
import {
  type CertificateRecord,
  type IssueReason,
  isOurs,
  type ManagedMetadata,
  type ObservedRole,
  type OutputsStep,
  type SecretContent,
  type SecretRecord,
  type SecretStep,
} from '../../plan/index.ts';
import type { Caches } from '../cache/caches.ts';
import type { SigningMaterial } from '../cache/signing-material.ts';
import { keyPairDigest, ownerReferencesFor, secretRecord } from '../objects/leaf-secret.ts';
import { makeOutputs, type Outputs } from '../objects/output-data.ts';
import { readKeystorePassword } from '../objects/password-secret.ts';
import { base64, dataText } from '../objects/secret-data.ts';
import type { RsaKeyPool } from './rsa-key-pool.ts';
import { asObserved, type SecretDeleter } from './secret-deleter.ts';
import { deliverInSecret, keptKey } from './secret-delivery.ts';

export interface SecretWriterOptions {
  readonly client: GuardedClient;
  readonly caches: Pick<Caches, 'secrets' | 'withChangeTime'>;
  /** The roots that may have signed a leaf in a Secret. */
  readonly roots: () => readonly Certificate[];
  readonly keys: RsaKeyPool;
  readonly now: () => Date;
  readonly log: Log;
  readonly observer: { onIssued(role: string, reason: string): void };
  readonly deleter: Pick<SecretDeleter, 'delete'>;
}

type IssueStep = Extract<SecretStep, { step: 'issue' }>;
type UpdateStep = Extract<SecretStep, { step: 'update' }>;

type WritingStep = IssueStep | UpdateStep;

/** A written Secret. `keptKey` is true when its new certificate is for the private key that it already held. */
export interface Written {
  readonly secret: SecretRecord;
  readonly keptKey: boolean;
}

/** A step that waits until a key is generated. */
export interface Pending {
  readonly since: Date;
  readonly message: string;
}

/** A step that cannot be carried out until a person fixes the cause. */
export interface Refused {
  readonly refused: CertificateReason;
  readonly message: string;
}

/** The API server's answer to a write of a Secret: metadata only. */
type WrittenMetadata = Served<KubeObject>;

interface SecretRef {
  readonly namespace: string;
  readonly name: string;
}

/** The arguments of a step. */
interface Job {
  readonly certificate: CertificateRecord;
  readonly role: ObservedRole;
  readonly material: SigningMaterial;
  /** The keystore password; undefined when the step writes no keystores. */
  readonly password: string | undefined;
  readonly signal: AbortSignal;
}

/** A new certificate: the Secret to write, the content record to cache, and why it was issued. */
interface NewContent {
  readonly whole: SecretPatch<ManagedMetadata>;
  readonly content: SecretContent;
  readonly issue: { readonly role: Role; readonly reason: IssueReason; readonly keptKey: boolean };
}

/**
 * The only code that writes the content of certificates' Secrets. Key, certificate and bundle change in one write. Every write
 * has a precondition: the Secret does not exist, or has not changed since it was observed.
 */
export class SecretWriter {
  readonly #options: SecretWriterOptions;

  constructor(options: SecretWriterOptions) {
    this.#options = options;
  }

  /**
   * Carries out a step on a role's Secret.
   * @throws KubeError Conflict, AlreadyExists or NotFound when the Secret has changed since it was observed
   */
  async write(
    certificate: CertificateRecord,
    role: ObservedRole,
    step: WritingStep,
    material: SigningMaterial,
    signal: AbortSignal,
  ): Promise<Written | Pending | Refused> {
    const password = await this.#readPassword(certificate.namespace, step.outputs, signal);
    if ('refused' in password) return password;
    const job = { certificate, role, material, password: password.text, signal };
    return this.#options.caches.secrets.trackWrite(refOf(certificate, role), () =>
      step.step === 'update' ? this.#update(job, step) : this.#issue(job, step),
    );
  }

  async #update({ certificate, role, material, password, signal }: Job, step: UpdateStep): Promise<Written> {
    const { bundle, crl } = material;
    const secret = observedSecret(role);
    const ref = refOf(certificate, role);
    const hasOutputs = step.outputs !== undefined && step.outputs.keys.length > 0;
    const live = hasOutputs || step.restores === true ? await this.#readLive(ref, signal) : undefined;
    const restored = step.restores === true && live !== undefined ? this.#restore(live, secret) : undefined;
    const present = live?.data ?? {};
    const data = { [secretKeys.bundle]: base64(bundle.pem), ...restored?.data };
    const outputs =
      step.outputs && (await makeOutputs(step.outputs, { ...present, ...data }, { password, crl: crl?.pem }));
    const owners = await this.#ownersFor(certificate, step, ref, signal);
    const patch = withOutputs({ metadata: { ...asObserved(secret), ...owners, ...step.metadata }, data }, outputs);
    const patched = await this.#options.client.mergePatch(secretResource, ref, patch, { signal, metadataOnly: true });
    // The precondition guarantees that the rest of the content is as observed.
    const content = { ...(restored?.content ?? secret.content), bundle: bundle.digest };
    if (restored !== undefined) {
      const { serialNumber } = restored.content.leaf;
      this.#options.log.info('restored a certificate', { ...ref, role: role.role, serialNumber });
    }
    return { secret: this.#observeOwnWrite(patched, content), keptKey: false };
  }

  /** The chain that `tls.crt` still holds, encoded the way the operator writes it. */
  #restore(live: Secret, { content }: SecretRecord) {
    const leaf = 'restorable' in content ? content.restorable : undefined;
    const text = dataText(live, secretKeys.certificate);
    const chain = leaf && chainWithin(text, leaf.publicKey, this.#options.roots());
    if (leaf === undefined || chain === undefined)
      throw new KubeError('Conflict', 'tls.crt no longer holds the certificate to restore');
    const data = { [secretKeys.certificate]: base64(encodeCertificates([chain.leaf, ...chain.intermediates])) };
    return { data, content: { leaf, digest: keyPairDigest({ ...live.data, ...data }) } };
  }

  async #issue(job: Job, step: IssueStep): Promise<Written | Pending> {
    const made = await this.#make(job, step);
    if ('since' in made) return made;
    if (step.write === 'update') return this.#overwrite(job, step, made);
    // The type of a Secret and immutable data cannot be changed, so the operator deletes its own Secret first.
    if (step.write === 'replace') await this.#clear(job, step);
    return this.#create(job, made);
  }

  /** Issues a certificate for a new or the current key, and makes the outputs. */
  async #make(
    { certificate, role: observed, material, password, signal }: Job,
    step: IssueStep,
  ): Promise<NewContent | Pending> {
    const { keys, now } = this.#options;
    const { crl, issuer } = material;
    const { request } = step;
    if (issuer === undefined) throw new KubeError('Conflict', 'the authority changed since it was observed');
    const kept = step.keepKey
      ? keptKey(request, dataText(await this.#readLive(refOf(certificate, observed), signal), secretKeys.privateKey))
      : undefined;
    const key = kept ?? (await keys.take(keyOf(certificate), observed.role, request.key, now()));
    if ('since' in key) {
      return { since: key.since, message: `the ${describeKeySpec(request.key)} key is being generated` };
    }
    // Encode before signing, because encodePrivateKey throws if the key does not fit the encoding.
    const privateKey = encodePrivateKey(key, request.keyEncoding);
    const context = { now: now(), serialSeed: randomBytes(20) };
    const { data, content } = deliverInSecret(await issueLeaf(request.profile, key, issuer, context), privateKey);
    const outputs = step.outputs && (await makeOutputs(step.outputs, data, { password, crl: crl?.pem }));
    const whole = withOutputs({ metadata: step.metadata, data }, outputs);
    return { whole, content, issue: { role: observed.role, reason: step.reason, keptKey: kept !== undefined } };
  }

  async #overwrite({ certificate, role, signal }: Job, step: IssueStep, made: NewContent): Promise<Written> {
    const ref = refOf(certificate, role);
    const owners = await this.#ownersFor(certificate, step, ref, signal);
    const precondition = asObserved(observedSecret(role));
    const patch = { metadata: { ...precondition, ...owners, ...made.whole.metadata }, data: made.whole.data };
    const patched = await this.#options.client.mergePatch(secretResource, ref, patch, { signal, metadataOnly: true });
    return this.#issued(patched, made);
  }

  async #clear({ certificate, role: { role, secret }, signal }: Job, step: IssueStep): Promise<void> {
    if (secret === undefined) return;
    if (!isOurs(secret, certificate, role)) throw new KubeError('Conflict', 'the Secret belongs to another resource');
    await this.#options.deleter.delete(certificate, secret, `to replace it: ${step.message}`, signal);
  }

  async #create({ certificate, role: observed, signal }: Job, made: NewContent): Promise<Written> {
    const { metadata: desired, data } = made.whole;
    const metadata = {
      ...refOf(certificate, observed),
      labels: withoutNulls(desired.labels),
      annotations: withoutNulls(desired.annotations),
      ownerReferences: ownerReferencesFor(certificate),
    };
    const object = { apiVersion: 'v1', kind: 'Secret', metadata, type: secretType, data: withoutNulls(data) };
    const created = await this.#options.client.create(secretResource, object, { signal, metadataOnly: true });
    // No pod has mounted a Secret that never existed. If the Secret was deleted, pods may still use its old content.
    const isFirst = !(certificate.status.secrets ?? []).some(({ role }) => role === observed.role);
    return this.#issued(created, made, isFirst);
  }

  /** The ownerReferences that a step writes. It keeps those of other owners. */
  async #ownersFor(certificate: CertificateRecord, { ownership }: WritingStep, ref: SecretRef, signal: AbortSignal) {
    if (ownership === undefined) return {};
    const { metadata } = await this.#readLive(ref, signal);
    return { ownerReferences: ownerReferencesFor(certificate, metadata.ownerReferences) };
  }

  /** Reads the Secret with its key. If it has changed since it was observed, the precondition refuses the write that follows. */
  #readLive(ref: SecretRef, signal: AbortSignal): Promise<Secret> {
    return this.#options.client.get(secretResource, ref, { signal });
  }

  /** Reads the keystore password; without `text` when the step writes no keystores. */
  async #readPassword(
    namespace: string,
    outputs: OutputsStep | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly text?: string } | Refused> {
    if (outputs?.password === undefined) return {};
    const password = await readKeystorePassword(this.#options.client, namespace, outputs.password, signal);
    return 'problem' in password ? { refused: 'KeystorePasswordInvalid', message: password.problem } : password;
  }

  #issued(
    written: WrittenMetadata,
    { content, issue: { role, reason, keptKey } }: NewContent,
    isFirst = false,
  ): Written {
    const { observer, log } = this.#options;
    const { namespace, name: secret } = written.metadata;
    const { serialNumber, notAfter } = 'leaf' in content ? content.leaf : {};
    observer.onIssued(role, reason);
    // The audit trail of the CA: one line for each signature, with the serial number.
    log.info('issued a certificate', { namespace, secret, role, reason, keptKey, serialNumber, notAfter });
    return { secret: this.#observeOwnWrite(written, content, isFirst), keptKey };
  }

  #observeOwnWrite({ metadata }: WrittenMetadata, content: SecretContent, isFirst = false): SecretRecord {
    const { caches, roots } = this.#options;
    // The operator knows the type and the content that it wrote, so the answer of the API server need not include the key.
    const read = secretRecord({ metadata, type: secretType }, roots(), content);
    const { modifiedByOthers: _, ...record } = isFirst ? read : caches.withChangeTime(read);
    caches.secrets.observeOwnWrite(record);
    return record;
  }
}

const refOf = ({ namespace }: CertificateRecord, { secretName }: ObservedRole): SecretRef => ({
  namespace,
  name: secretName,
});

/** @throws KubeError Conflict when there is no Secret, so that the role is observed and planned again */
function observedSecret({ secret }: ObservedRole): SecretRecord {
  if (secret === undefined) throw new KubeError('Conflict', 'there is no Secret to update');
  return secret;
}

interface SecretPatch<Metadata> {
  readonly metadata: Metadata;
  readonly data: Readonly<Record<string, string | null>>;
}

/** Adds the outputs to a write. */
const withOutputs = <Metadata extends ManagedMetadata>(
  { metadata, data }: SecretPatch<Metadata>,
  outputs: Outputs | undefined,
): SecretPatch<Metadata> =>
  outputs === undefined
    ? { metadata, data }
    : {
        metadata: { ...metadata, annotations: { ...metadata.annotations, [annotations.outputs]: outputs.note } },
        data: { ...data, ...outputs.data },
      };

const withoutNulls = (metadata: Readonly<Record<string, string | null>>): Record<string, string> =>
  Object.fromEntries(Object.entries(metadata).filter((entry): entry is [string, string] => entry[1] !== null));
