import { annotations, labels, managerName } from '../../api/constants.ts';
import type { Role } from '../../pki/index.ts';
import type { CertificateRecord } from './certificate-record.ts';
import { type controllerOf, isOfKind } from './owner-reference.ts';
import { roles, rolesOf, secretNameOf } from './roles.ts';
import type { ForeignSecret, SecretRecord } from './secret-record.ts';

/**
 * The owner that a Secret itself names: its controller, or without one the operator's labels together with the
 * annotation secret-name. That annotation of a copy holds the name of the original, so a copy claims nothing. Any
 * client can write all of this in its own namespace: the caller checks whether the owner exists.
 */
export function ownerOf(
  secret: Pick<SecretRecord, 'name' | 'labels' | 'annotations'>,
  controller: ReturnType<typeof controllerOf>,
): Pick<SecretRecord, 'controller' | 'owner' | 'ownerName'> {
  if (controller !== undefined) {
    return isOfKind(controller, 'MtlsCertificate')
      ? { controller: 'certificate', owner: controller.uid, ownerName: controller.name }
      : { controller: 'other' };
  }
  const { [labels.managedBy]: manager, [labels.certificate]: ownerName, [labels.role]: role } = secret.labels;
  const isHandedOver = manager === managerName && isNamedInAnnotation(secret) && roles.some((one) => one === role);
  if (!isHandedOver || ownerName === undefined) return { controller: 'none' };
  const owner = secret.annotations[annotations.certificateUid];
  return { controller: 'none', ownerName, ...(owner === undefined ? {} : { owner }) };
}

/**
 * True for a Secret whose annotation secret-name is its own name. A new Secret is deleted only if this is true, see
 * mayBeDeleted.
 */
export const isNamedInAnnotation = ({ name, annotations: all }: Pick<SecretRecord, 'name' | 'annotations'>): boolean =>
  all[annotations.secretName] === name;

/** The fields that name the owner of a Secret, see ownerOf. */
type OwnershipFields = Pick<SecretRecord, 'namespace' | 'controller' | 'owner' | 'ownerName'>;

/**
 * True when the Secret belongs to this resource, in any role. Namespace and name must match, because any client can
 * write a UID. With a controller, the UID must match too.
 */
export const belongsTo = (
  { namespace, controller, owner, ownerName }: OwnershipFields,
  { namespace: ownNamespace, name, uid }: Pick<CertificateRecord, 'namespace' | 'name' | 'uid'>,
): boolean => namespace === ownNamespace && ownerName === name && (controller === 'certificate' ? owner === uid : true);

declare const owned: unique symbol;

/** Marks a Secret that was checked against its resource. Only ownedBy and isOurs set it. */
export interface Owned {
  readonly [owned]: true;
}

/** A Secret that passed the check. The operator deletes no other Secret. */
export type OwnedSecret = SecretRecord & Owned;

/** The Secret, if its owner is this resource by kind, group, namespace, name and UID. */
export const ownedBy = <T extends OwnershipFields>(
  secret: T,
  certificate: CertificateRecord,
): (T & Owned) | undefined =>
  belongsTo(secret, certificate) && secret.owner === certificate.uid ? (secret as T & Owned) : undefined;

/**
 * True for a Secret that this resource owns or would adopt. It would adopt a Secret without a controller that was
 * handed over to it and has the Secret name of one of its roles.
 */
export const canOwn = (certificate: CertificateRecord, secret: OwnershipFields & Pick<SecretRecord, 'name'>): boolean =>
  belongsTo(secret, certificate) &&
  (secret.owner === certificate.uid || (secret.controller === 'none' && isRoleSecretName(certificate, secret.name)));

const isRoleSecretName = ({ name, spec }: CertificateRecord, secretName: string): boolean =>
  rolesOf(spec).some((role) => secretNameOf(name, spec, role) === secretName);

/**
 * True for a role's Secret that the operator may write. Either the resource controls it, or it has no controller and
 * was handed over to this resource and role, like a restored backup or an orphaned Secret.
 */
export const isOurs = (secret: SecretRecord, certificate: CertificateRecord, role: Role): secret is OwnedSecret =>
  belongsTo(secret, certificate) && (secret.controller === 'certificate' || secret.labels[labels.role] === role);

/**
 * True for a resource whose Secrets stay when it is deleted. Such Secrets have the annotation certificate-uid instead
 * of an ownerReference.
 */
export const retainsSecrets = ({ spec }: CertificateRecord): boolean => spec.deletionPolicy === 'Retain';

/** The change of ownership that a write makes: it adds the ownerReference, or removes it. */
export interface OwnershipChange {
  readonly ownership?: 'adopt' | 'release';
}

/**
 * The change of ownership that a Secret of the resource needs. None while the resource is being deleted: with `kubectl
 * delete --cascade=orphan`, the garbage collector removes the ownerReference so that the Secret survives.
 */
export function ownershipChange({ controller, owner }: SecretRecord, certificate: CertificateRecord): OwnershipChange {
  if (certificate.deleting) return {};
  if (!retainsSecrets(certificate)) return controller === 'certificate' ? {} : { ownership: 'adopt' };
  if (controller === 'certificate') return { ownership: 'release' };
  return owner === certificate.uid ? {} : { ownership: 'adopt' };
}

/**
 * True for a Secret of the resource that may be deleted once no role needs it: its annotation secret-name is its own
 * name. A Secret from before that annotation existed must be in status, because a copy of it has the same labels and
 * owner.
 */
export function mayBeDeleted(secret: SecretRecord, { name, status }: CertificateRecord): boolean {
  if (secret.deleting === true) return false;
  if (secret.annotations[annotations.secretName] !== undefined) return isNamedInAnnotation(secret);
  const { [labels.certificate]: certificate, [labels.role]: role } = secret.labels;
  const isInStatus = status.secrets?.some((entry) => entry.secretName === secret.name && entry.role === role) === true;
  return certificate === name && isInStatus;
}

export function conflictMessage(secret: ForeignSecret, certificate: CertificateRecord, role: Role): string {
  const { namespace, name } = secret;
  const wantedLabels = {
    [labels.managedBy]: managerName,
    [labels.certificate]: certificate.name,
    [labels.role]: role,
  };
  const metadata = {
    ...(secret.controller === 'none' ? {} : { ownerReferences: null }),
    ...missingEntries('labels', secret.labels, wantedLabels),
    ...missingEntries('annotations', secret.annotations, { [annotations.secretName]: name }),
  };
  const patch = `kubectl -n ${namespace} patch secret ${name} --type merge --patch '${JSON.stringify({ metadata })}'`;
  return (
    `Secret ${name} exists and ${ownerText(secret, certificate)}. Delete it: kubectl -n ${namespace} delete secret ${name}; ` +
    `or hand it over (the operator then replaces content that is not valid): ${patch}; or set ${role}.secretName to another name`
  );
}

function ownerText({ controller, owner, ownerName }: ForeignSecret, { name, uid }: CertificateRecord): string {
  if (controller === 'other') return 'has another controller';
  if (controller === 'none') return 'was not handed over to this resource';
  return ownerName === name && owner !== uid
    ? `is controlled by an earlier MtlsCertificate ${name} that was deleted, so the garbage collector will delete it`
    : `is controlled by MtlsCertificate ${ownerName ?? ''}`;
}

function missingEntries(
  field: string,
  actual: Readonly<Record<string, string>>,
  wanted: Readonly<Record<string, string>>,
) {
  const entries = Object.entries(wanted).filter(([key, value]) => actual[key] !== value);
  return entries.length === 0 ? {} : { [field]: Object.fromEntries(entries) };
}
