import { apiVersion, group } from '../../api/constants.ts';

/** metav1.OwnerReference. */
interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean | undefined;
}

type OwnKind = 'MtlsAuthority' | 'MtlsCertificate';

/**
 * The ownerReference to a resource of the operator. The garbage collector deletes the object together with the
 * resource.
 */
export const ownerReference = (
  kind: OwnKind,
  { name, uid }: { readonly name: string; readonly uid: string },
): OwnerReference & { readonly controller: boolean } => ({ apiVersion, kind, name, uid, controller: true });

/**
 * The reference to the controller of an object. Any client can write one, so the caller checks whether the controller
 * exists.
 */
export const controllerOf = (references: readonly OwnerReference[] = []): OwnerReference | undefined =>
  references.find(({ controller }) => controller === true);

/**
 * True for a reference to a resource of this kind. The API server does not limit the length of an ownerReference; a
 * reference with a longer name or UID cannot name an existing object.
 */
export const isOfKind = (reference: OwnerReference, kind: OwnKind): boolean =>
  reference.kind === kind &&
  reference.apiVersion.startsWith(`${group}/`) &&
  reference.name.length <= 253 &&
  reference.uid.length <= 64;
