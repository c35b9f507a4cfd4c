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

/** The ownerReference of an object that belongs to a resource. The garbage collector removes the object with the resource. */
export const ownerReference = (
  kind: OwnKind,
  { name, uid }: { readonly name: string; readonly uid: string },
): OwnerReference & { readonly controller: boolean } => ({ apiVersion, kind, name, uid, controller: true });

/** The reference to the controller of an object. Anybody can write one: the caller checks whether the controller exists. */
export const controllerOf = (references: readonly OwnerReference[] = []): OwnerReference | undefined =>
  references.find(({ controller }) => controller === true);

/**
 * True for a reference to a resource of a kind of this operator. The API server does not bound an ownerReference: one with a
 * longer name or UID names no object that exists.
 */
export const isOfKind = (reference: OwnerReference, kind: OwnKind): boolean =>
  reference.kind === kind &&
  reference.apiVersion.startsWith(`${group}/`) &&
  reference.name.length <= 253 &&
  reference.uid.length <= 64;
