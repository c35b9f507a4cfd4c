import { randomBytes } from 'node:crypto';
import { annotations, type CertificateReason, secretKeys, secretType } from '../../api/constants.ts';
import {
  type GuardedClient,
  isKubeError,
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
  isNamedInAnnotation,
  isOurs,
  type ObservedRole,
  type OutputsStep,
  type OwnedSecret,
  type SecretContent,
  type SecretMetadata,
  type SecretRecord,
  type SecretStep,
} from '../../plan/index.ts';
import type { Caches } from '../cache/caches.ts';
import type { SigningMaterial } from '../cache/signing-material.ts';
import { readLastWriter } from '../objects/last-writer.ts';
import { keyPairDigest, ownerReferencesFor, secretRecord } from '../objects/leaf-secret.ts';
import { makeOutputs, type Outputs } from '../objects/output-data.ts';
import { readKeystorePassword } from '../objects/password-secret.ts';
import { base64, dataText } from '../objects/secret-data.ts';
import type { RsaKeyPool } from './rsa-key-pool.ts';
import { deliverInSecret, keptKey } from './secret-delivery.ts';

/** What the writer works with. */
export interface SecretWriterOptions {
  readonly client: GuardedClient;
  readonly caches: Pick<Caches, 'secrets' | 'withChangeTime'>;
  /** The roots that may have signed what is read. */
  readonly roots: () => readonly Certificate[];
  readonly keys: RsaKeyPool;
  readonly now: () => Date;
  readonly log: Log;
  readonly observer: { onIssued(role: string, reason: string): void };
  /** Called when a Secret of a resource was deleted. */
  readonly onDeleted: (certificate: CertificateRecord, deleted: DeletedSecret) => void;
}

type IssueStep = Extract<SecretStep, { step: 'issue' }>;
type UpdateStep = Extract<SecretStep, { step: 'update' }>;

/** A step that writes. */
type WritingStep = IssueStep | UpdateStep;

/** A Secret that the operator has deleted, and why, in words. */
export interface DeletedSecret {
  readonly secretName: string;
  readonly why: string;
}

/** A Secret as it was written, and whether a new certificate in it is for the private key that was there before. */
export interface Written {
  readonly secret: SecretRecord;
  readonly keptKey: boolean;
}

/** A step that cannot be carried out yet, and why. */
export interface Pending {
  readonly since: Date;
  readonly message: string;
}

/** A step that cannot be carried out before a person has put something right. */
export interface Refused {
  readonly refused: CertificateReason;
  readonly message: string;
}

/** What the API server says of a Secret that was just written. */
type WrittenMetadata = Served<KubeObject>;

/** Where a Secret is. */
interface SecretRef {
  readonly namespace: string;
  readonly name: string;
}

/** What a step is carried out on, and with. */
interface Job {
  readonly certificate: CertificateRecord;
  readonly role: ObservedRole;
  readonly material: SigningMaterial;
  /** Of the stores; undefined when the step writes none. */
  readonly password: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * The one place from which the Secrets of certificates are written. Every write is whole (key, certificate and bundle
 * together) and has a precondition: that there is no Secret, or that it is as observed.
 */
export class SecretWriter {
  readonly #options: SecretWriterOptions;

  constructor(options: SecretWriterOptions) {
    this.#options = options;
  }

  /**
   * Carries out a step on a role's Secret.
   * @throws KubeError: Conflict, AlreadyExists and NotFound mean that the Secret is not as observed
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
    // The precondition says that all else is as it was observed: it need not be read again.
    const content = { ...(restored?.content ?? secret.content), bundle: bundle.digest };
    if (restored !== undefined) {
      const { serialNumber } = restored.content.leaf;
      this.#options.log.info('restored a certificate', { ...ref, role: role.role, serialNumber });
    }
    return { secret: this.#observeOwnWrite(patched, content), keptKey: false };
  }

  /** The certificate that tls.crt still holds, in its own form. */
  #restore(live: Secret, { content }: SecretRecord) {
    const leaf = 'restorable' in content ? content.restorable : undefined;
    const text = dataText(live, secretKeys.certificate);
    const chain = leaf && chainWithin(text, leaf.publicKey, this.#options.roots());
    if (leaf === undefined || chain === undefined) throw new KubeError('Conflict', 'the certificate is not there');
    const data = { [secretKeys.certificate]: base64(encodeCertificates([chain.leaf, ...chain.intermediates])) };
    return { data, content: { leaf, digest: keyPairDigest({ ...live.data, ...data }) } };
  }

  async #issue(
    { certificate, role: observed, material, password, signal }: Job,
    step: IssueStep,
  ): Promise<Written | Pending> {
    const { client, keys, now } = this.#options;
    const { role, secret } = observed;
    const { crl, issuer } = material;
    const ref = refOf(certificate, observed);
    if (issuer === undefined) throw new KubeError('Conflict', 'the authority changed since it was observed');
    const kept = step.keepKey
      ? keptKey(step.request, dataText(await this.#readLive(ref, signal), secretKeys.privateKey))
      : undefined;
    const key = kept ?? (await keys.take(keyOf(certificate), role, step.request.key, now()));
    if ('since' in key) {
      return { since: key.since, message: `the ${describeKeySpec(step.request.key)} key is being generated` };
    }
    const issue = { role, reason: step.reason, keptKey: kept !== undefined };
    // First, since nothing is signed for a key that does not fit its encoding.
    const privateKey = encodePrivateKey(key, step.request.keyEncoding);
    const context = { now: now(), serialSeed: randomBytes(20) };
    const { data, content } = deliverInSecret(await issueLeaf(step.request.profile, key, issuer, context), privateKey);
    const outputs = step.outputs && (await makeOutputs(step.outputs, data, { password, crl: crl?.pem }));
    const whole = withOutputs({ metadata: step.metadata, data }, outputs);
    if (step.write === 'update') {
      const owners = await this.#ownersFor(certificate, step, ref, signal);
      const precondition = asObserved(observedSecret(observed));
      const patch = { metadata: { ...precondition, ...owners, ...whole.metadata }, data: whole.data };
      const patched = await client.mergePatch(secretResource, ref, patch, { signal, metadataOnly: true });
      return this.#issued(patched, content, issue);
    }
    // Neither its type nor immutable data can be changed: what stands in the way is ours, and goes.
    if (step.write === 'replace' && secret !== undefined) {
      if (!isOurs(secret, certificate, role)) throw new KubeError('Conflict', 'the Secret belongs to another resource');
      await this.#delete(certificate, secret, `to replace it: ${step.message}`, signal);
    }
    const metadata = {
      ...ref,
      labels: withoutNulls(whole.metadata.labels),
      annotations: withoutNulls(whole.metadata.annotations),
      ownerReferences: ownerReferencesFor(certificate),
    };
    const object = { apiVersion: 'v1', kind: 'Secret', metadata, type: secretType, data: withoutNulls(whole.data) };
    const created = await client.create(secretResource, object, { signal, metadataOnly: true });
    // Nobody has mounted what was never there; what was lost is still in the hands of those who did.
    const isFirst = !(certificate.status.secrets ?? []).some((entry) => entry.role === role);
    return this.#issued(created, content, issue, isFirst);
  }

  /** Which other writer has changed a Secret last. */
  lastWriter(namespace: string, name: string, signal: AbortSignal): Promise<string | undefined> {
    return readLastWriter(this.#options.client, secretResource, { namespace, name }, signal);
  }

  /** Deletes Secrets that no role wants any more. */
  async prune(certificate: CertificateRecord, surplus: readonly OwnedSecret[], signal: AbortSignal): Promise<void> {
    for (const secret of surplus) {
      await unlessChanged(this.#delete(certificate, secret, 'since no role names it any more', signal));
    }
  }

  /** Writes the annotation secret-name on Secrets that were written before it existed. */
  async mark(secrets: readonly OwnedSecret[], signal: AbortSignal): Promise<void> {
    for (const secret of secrets) await unlessChanged(this.#mark(secret, signal));
  }

  async #mark(secret: SecretRecord, signal: AbortSignal): Promise<SecretRecord> {
    const { namespace, name } = secret;
    const metadata = { ...asObserved(secret), annotations: { [annotations.secretName]: name } };
    const written = await this.#options.client.mergePatch(
      secretResource,
      { namespace, name },
      { metadata },
      { signal, metadataOnly: true },
    );
    return { ...secret, resourceVersion: written.metadata.resourceVersion };
  }

  /** Deletes a Secret, provided that it is as it was observed. Only a Secret that names itself is deleted. */
  async #delete(certificate: CertificateRecord, secret: OwnedSecret, why: string, signal: AbortSignal): Promise<void> {
    const { client, log, onDeleted } = this.#options;
    const { namespace, name } = secret;
    const marked = isNamedInAnnotation(secret) ? secret : await this.#mark(secret, signal);
    await client.delete(secretResource, { namespace, name }, { ...asObserved(marked), signal });
    log.info('deleted a Secret', { namespace, secret: name, certificate: certificate.name, why });
    onDeleted(certificate, { secretName: name, why });
  }

  /** The ownerReferences that a step writes; those of others stay. */
  async #ownersFor(certificate: CertificateRecord, { ownership }: WritingStep, ref: SecretRef, signal: AbortSignal) {
    if (ownership === undefined) return {};
    const { metadata } = await this.#readLive(ref, signal);
    return { ownerReferences: ownerReferencesFor(certificate, metadata.ownerReferences) };
  }

  /** The Secret with its key. If it has changed since it was observed, the write that follows is refused by its precondition. */
  #readLive(ref: SecretRef, signal: AbortSignal): Promise<Secret> {
    return this.#options.client.get(secretResource, ref, { signal });
  }

  /** The password of the keystores that a step writes; without text when it writes none. */
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
    content: SecretContent,
    { role, reason, keptKey }: { readonly role: Role; readonly reason: IssueReason; readonly keptKey: boolean },
    isFirst = false,
  ): Written {
    const { observer, log } = this.#options;
    const { namespace, name: secret } = written.metadata;
    const { serialNumber, notAfter } = 'leaf' in content ? content.leaf : {};
    observer.onIssued(role, reason);
    // The audit trail of a certificate authority: every signature, with what identifies it.
    log.info('issued a certificate', { namespace, secret, role, reason, keptKey, serialNumber, notAfter });
    return { secret: this.#observeOwnWrite(written, content, isFirst), keptKey };
  }

  #observeOwnWrite({ metadata }: WrittenMetadata, content: SecretContent, isFirst = false): SecretRecord {
    const { caches, roots } = this.#options;
    // Only what can be written is, and what was written need not come back, with its key, to be known.
    const read = secretRecord({ metadata, type: secretType }, roots(), content);
    const { modifiedByOthers: _, ...record } = isFirst ? read : caches.withChangeTime(read);
    caches.secrets.observeOwnWrite(record);
    return record;
  }
}

/** Changed or gone meanwhile: its event brings the resource back here. */
async function unlessChanged(write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (error) {
    if (!isKubeError(error, 'NotFound', 'Conflict')) throw error;
  }
}

const refOf = ({ namespace }: CertificateRecord, { secretName }: ObservedRole): SecretRef => ({
  namespace,
  name: secretName,
});

/** @throws KubeError `Conflict`: then the role is observed and planned again */
function observedSecret({ secret }: ObservedRole): SecretRecord {
  if (secret === undefined) throw new KubeError('Conflict', 'there is no Secret to update');
  return secret;
}

/** The precondition that the Secret is still the one that was observed, in the same state. */
const asObserved = ({ uid, resourceVersion }: SecretRecord) => ({ uid, resourceVersion });

interface SecretPatch<Metadata> {
  readonly metadata: Metadata;
  readonly data: Readonly<Record<string, string | null>>;
}

/** A write with the outputs in it. */
const withOutputs = <Metadata extends SecretMetadata>(
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
