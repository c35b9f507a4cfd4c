import type { Store } from '../../kube/index.ts';
import type { Role } from '../../pki/index.ts';
import {
  type AuthorityRecord,
  type AuthorityState,
  type CertificateRecord,
  type KeystorePassword,
  type KnownNamespace,
  type ObservedCertificate,
  type ObservedRole,
  planCertificate,
  rolesOf,
  secretNameOf,
} from '../../plan/index.ts';
import type { AuthorityStates } from '../cache/authority-states.ts';
import type { SigningMaterial } from '../cache/signing-material.ts';
import type { Access } from '../cache/watched-namespaces.ts';
import { rulesReader } from '../objects/authority-rules.ts';
import type { CertificateMemory } from './certificate-memory.ts';
import type { SecretFinder } from './secret-finder.ts';
import type { SecretNameOwnership } from './secret-name-ownership.ts';
import { withSecret } from './step-result.ts';

export interface CertificateObserverOptions {
  readonly finder: Pick<SecretFinder, 'find' | 'ownedExcept' | 'lastWriter'>;
  /** See Caches.namespace. */
  readonly namespace: (name: string) => KnownNamespace | undefined;
  /** Whether the Secrets of a namespace are known. */
  readonly secretsAccess: (namespace: string) => Access;
  readonly authorities: Pick<Store<AuthorityRecord>, 'get'>;
  readonly authorityStates: AuthorityStates;
  readonly secretNames: Pick<SecretNameOwnership, 'holder'>;
  /** The state of a resource's keystore password; undefined when it requests no keystores. */
  readonly keystorePassword: (certificate: CertificateRecord) => KeystorePassword | undefined;
  readonly memory: CertificateMemory;
  readonly now: () => Date;
}

/** An observed certificate and the signing material of its authority, from the same moment. */
export interface CertificateObservation {
  readonly observed: ObservedCertificate;
  readonly material: SigningMaterial | undefined;
}

type Request = Pick<ObservedCertificate, 'certificate' | 'authority' | 'keystorePassword'>;

/** Gathers everything that the plan of an MtlsCertificate needs. Reads from the API server only what is not cached. */
export class CertificateObserver {
  readonly #options: CertificateObserverOptions;
  readonly #rulesOf = rulesReader();

  constructor(options: CertificateObserverOptions) {
    this.#options = options;
  }

  /** @throws KubeError */
  async observe(key: string, certificate: CertificateRecord, signal: AbortSignal): Promise<CertificateObservation> {
    const { authorityStates, finder, secretsAccess } = this.#options;
    const material = authorityStates.material(certificate.spec.authorityRef.name);
    const request = this.#requestOf(certificate);
    const access = secretsAccess(certificate.namespace);
    if (access !== 'permitted') {
      const roles = rolesOf(certificate.spec).map((role) => this.#unreadRole(key, request, role));
      return { observed: { ...request, roles, surplus: [], secretsAccess: access }, material };
    }
    const roles = await Promise.all(
      rolesOf(certificate.spec).map((role) => this.#observeRole(key, request, role, signal)),
    );
    const surplus = await finder.ownedExcept(certificate, new Set(roles.map(({ secretName }) => secretName)), signal);
    const observed = { ...request, ...this.#labelsOf(certificate.namespace), roles, surplus };
    return { observed: await this.#withWriters(key, observed, signal), material };
  }

  #labelsOf(name: string): Pick<ObservedCertificate, 'namespaceLabels' | 'labelsForbidden'> {
    const namespace = this.#options.namespace(name);
    if (namespace === undefined) return {};
    return namespace.labels === undefined ? { labelsForbidden: true } : { namespaceLabels: namespace.labels };
  }

  #requestOf(certificate: CertificateRecord): Request {
    const password = this.#options.keystorePassword(certificate);
    return {
      certificate,
      authority: this.#authorityOf(certificate),
      ...(password === undefined ? {} : { keystorePassword: password }),
    };
  }

  #authorityOf({ spec }: CertificateRecord): AuthorityState {
    const { authorities, authorityStates } = this.#options;
    const { name } = spec.authorityRef;
    const record = authorities.get(name);
    return record === undefined ? { state: 'missing' } : { ...authorityStates.get(name), ...this.#rulesOf(record) };
  }

  async #observeRole(key: string, request: Request, role: Role, signal: AbortSignal): Promise<ObservedRole> {
    const { finder, secretNames, memory, now } = this.#options;
    const { certificate } = request;
    const secretName = secretNameOf(certificate.name, certificate.spec, role);
    const hadConflict = certificate.status.conditions?.some(({ reason }) => reason === 'SecretConflict') === true;
    const found = await finder.find(certificate, secretName, hadConflict, signal);
    const secretNameOwner = secretNames.holder(certificate, secretName, found.secret ?? found.foreign);
    const failedAttempts = memory.failedAttempts(key, request, role, now());
    const known = {
      ...(secretNameOwner === undefined ? {} : { secretNameOwner }),
      ...(failedAttempts === undefined ? {} : { failedAttempts }),
    };
    return memory.withRepairs(key, request, withSecret({ role, secretName, ...known }, found), now());
  }

  /** A role whose Secret may exist and is not known. */
  #unreadRole(key: string, request: Request, role: Role): ObservedRole {
    const { memory, now } = this.#options;
    const { name, spec } = request.certificate;
    return memory.withRepairs(key, request, { role, secretName: secretNameOf(name, spec, role) }, now());
  }

  /** Finds out which client undid a repair, once for each repair. */
  async #withWriters(key: string, observed: ObservedCertificate, signal: AbortSignal): Promise<ObservedCertificate> {
    const { finder, memory, now } = this.#options;
    const { namespace } = observed.certificate;
    // The normal case: no repair was undone, so only the reconciler has to plan.
    if (!observed.roles.some(({ role }) => memory.isWriterUnnamed(key, role))) return observed;
    const contested = planCertificate(observed, now()).secrets.filter(
      ({ role, step }) =>
        step.step === 'blocked' && step.reason === 'SecretContested' && memory.isWriterUnnamed(key, role.role),
    );
    if (contested.length === 0) return observed;
    for (const { role } of contested) {
      memory.nameWriter(key, role.role, await finder.lastWriter(namespace, role.secretName, signal));
    }
    return { ...observed, roles: observed.roles.map((role) => memory.withRepairs(key, observed, role, now())) };
  }
}
