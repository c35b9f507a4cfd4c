import { isDeepStrictEqual } from 'node:util';
import { labels, secretKeys, secretType } from '../../../src/api/constants.ts';
import type { MtlsCertificateStatus } from '../../../src/api/types.ts';
import type { RepairLimits } from '../../../src/controllers/certificate/repair-limits.ts';
import { keptKey } from '../../../src/controllers/certificate/secret-delivery.ts';
import { ownerReferencesFor, secretRecord } from '../../../src/controllers/objects/leaf-secret.ts';
import { base64 } from '../../../src/controllers/objects/secret-data.ts';
import type { Secret } from '../../../src/kube/index.ts';
import {
  chainWithin,
  encodeCertificates,
  type LeafIssuer,
  parsePrivateKey,
  publicKeyDigest,
  type Role,
} from '../../../src/pki/index.ts';
import type { CertificatePlan } from '../../../src/plan/certificate/certificate-plan.ts';
import {
  type CertificateRecord,
  type IssueReason,
  isRepair,
  type ObservedCertificate,
  type ObservedRole,
  planCertificate,
  planCertificateStatus,
  type ReadyAuthority,
  type Repairs,
  rolesOf,
  type SecretRecord,
  type SecretStep,
  secretNameOf,
} from '../../../src/plan/index.ts';
import { ready } from '../../support/fixtures/authority.ts';
import { ownedAmong } from '../../support/fixtures/certificate.ts';
import { privateKey } from '../../support/fixtures/roots.ts';
import { issueContent } from '../../support/sign.ts';

/** A certificate that was issued for a role, and the reason. */
export interface Issued {
  readonly role: string;
  readonly reason: IssueReason;
}

/**
 * One resource and the Secrets of its namespace, in memory. Plans are carried out like in the operator, with real keys
 * and certificates, but without an API server.
 */
export class Simulation {
  record: CertificateRecord;
  readonly secrets: Map<string, Secret>;
  readonly issued: Issued[] = [];
  /** Additional fields of the authority's state. */
  under: Pick<ReadyAuthority, 'reissue'> = {};
  /** The requeue time of the last reconcile that wrote status. Undefined when only an event triggers the next one. */
  requeueAt: Date | undefined;
  writes = 0;
  /** The operator's memory of repairs. Replacing it restarts the operator. */
  limits: RepairLimits | undefined;
  readonly #touched = new Set<string>();
  #revision = 100;

  constructor(record: CertificateRecord, secrets: Iterable<Secret>) {
    this.record = record;
    this.secrets = new Map([...secrets].map((secret) => [secret.metadata.name, secret]));
  }

  /** Another client changes or deletes a Secret. */
  damage(name: string, change: (secret: Secret) => Secret | undefined): void {
    const before = this.secrets.get(name);
    if (before === undefined) return;
    const after = change(before);
    if (after === undefined) this.secrets.delete(name);
    else this.secrets.set(name, after);
    this.#touched.add(name);
  }

  observe(signer: LeafIssuer, now: Date): ObservedCertificate {
    const { spec, name } = this.record;
    const read = (secret: Secret): SecretRecord => ({
      ...secretRecord(secret, signer.bundle.roots),
      ...(this.#touched.has(secret.metadata.name) ? { modifiedByOthers: true } : {}),
    });
    const request = { certificate: this.record, authority: this.#view(signer) };
    const roles = rolesOf(spec).map((role): ObservedRole => {
      const secretName = secretNameOf(name, spec, role);
      const secret = this.secrets.get(secretName);
      const repairs = this.limits?.get('a', request, { role, secretName }, now);
      return { role, secretName, ...(secret && { secret: read(secret) }), ...(repairs && { repairs }) };
    });
    const wanted = new Set(roles.map(({ secretName }) => secretName));
    const surplus = [...this.secrets.values()]
      .filter(({ metadata }) => !wanted.has(metadata.name) && metadata.labels?.[labels.certificate] === name)
      .map(read);
    return {
      certificate: this.record,
      authority: this.#view(signer),
      roles,
      surplus: ownedAmong(surplus, this.record),
    };
  }

  #view({ root, bundle }: LeafIssuer): ReturnType<typeof ready> {
    return { ...ready(root), bundle, ...this.under };
  }

  plan(signer: LeafIssuer, now: Date): CertificatePlan {
    return planCertificate(this.observe(signer, now), now);
  }

  /** One reconcile. Like a killed process, it stops before write number `writes`. */
  reconcile(signer: LeafIssuer, now: Date, writes = Number.POSITIVE_INFINITY): void {
    let left = writes;
    const observed = this.observe(signer, now);
    const { secrets, prune } = planCertificate(observed, now);
    for (const { role, step } of secrets) {
      if (step.step === 'keep' || step.step === 'blocked') continue;
      if (left-- <= 0) return;
      this.#write(role.role, role.secretName, step, signer, now);
    }
    const results = secrets.map(({ role, step }) => ({
      role,
      isWritten: step.step === 'issue' || step.step === 'update',
      isRepair: isRepair(observed, role, step, now),
    }));
    this.limits?.note('a', observed, results, now);
    const repairs = this.limits?.of('a');
    for (const { name } of prune) {
      if (left-- <= 0) return;
      this.secrets.delete(name);
    }
    if (left-- > 0) this.#writeStatus(signer, now, secrets, repairs);
  }

  #write(
    role: string,
    name: string,
    step: Extract<SecretStep, { step: 'issue' | 'update' }>,
    signer: LeafIssuer,
    now: Date,
  ): void {
    const before = this.secrets.get(name);
    this.writes += 1;
    this.#touched.delete(name);
    const merged = (
      old: Readonly<Record<string, string>> | undefined,
      patch: Readonly<Record<string, string | null>>,
    ) =>
      Object.fromEntries(
        Object.entries({ ...old, ...patch }).filter((entry): entry is [string, string] => entry[1] !== null),
      );
    const restored = step.step === 'update' && step.restores === true ? certificateIn(before, signer) : {};
    const data =
      step.step === 'issue' ? this.#issue(role, step, signer, now, before) : { ...restored, ...bundleOf(signer) };
    const isNew = step.step === 'issue' && step.write !== 'update';
    const base = isNew ? undefined : before;
    this.secrets.set(name, {
      ...(base ?? { apiVersion: 'v1', kind: 'Secret', type: secretType }),
      metadata: {
        ...(base?.metadata ?? { namespace: this.record.namespace, uid: `uid-${++this.#revision}` }),
        name,
        resourceVersion: String(++this.#revision),
        ownerReferences:
          base === undefined || step.ownership !== undefined
            ? ownerReferencesFor(this.record, base?.metadata.ownerReferences)
            : (base.metadata.ownerReferences ?? []),
        labels: merged(base?.metadata.labels, step.metadata.labels),
        annotations: merged(base?.metadata.annotations, step.metadata.annotations),
      },
      data: { ...base?.data, ...data },
    });
  }

  #issue(
    role: string,
    { request, keepKey, reason }: Extract<SecretStep, { step: 'issue' }>,
    signer: LeafIssuer,
    now: Date,
    before: Secret | undefined,
  ): Record<string, string> {
    this.issued.push({ role, reason });
    const keyPem = Buffer.from(before?.data?.[secretKeys.privateKey] ?? '', 'base64').toString('latin1');
    const key = (keepKey ? keptKey(request, keyPem) : undefined) ?? privateKey(request.key);
    return issueContent(request, key, signer, now).data;
  }

  #writeStatus(
    signer: LeafIssuer,
    now: Date,
    planned: CertificatePlan['secrets'],
    repairs: ReadonlyMap<Role, Repairs> | undefined,
  ): void {
    const outcomes = this.observe(signer, now).roles.map((observed) => {
      const { repairs: _, ...seen } = observed;
      const known = repairs?.get(seen.role);
      const role = known === undefined ? seen : { ...seen, repairs: known };
      const step = planned.find((one) => one.role.role === role.role)?.step;
      return step?.step === 'blocked' ? { role, problem: step } : { role };
    });
    const view = this.#view(signer);
    const { status, requeueAt } = planCertificateStatus(this.record, outcomes, now, signer.bundle.roots, view);
    this.requeueAt = requeueAt;
    const lastTransitionTime = now.toISOString();
    const conditions = status.conditions.map((condition) => ({ ...condition, lastTransitionTime }));
    if (!isSameStatus(this.record.status, status)) this.writes += 1;
    this.record = { ...this.record, status: { ...status, conditions } satisfies MtlsCertificateStatus };
  }
}

/** Ignores transition times. */
function isSameStatus(
  a: MtlsCertificateStatus,
  b: Omit<MtlsCertificateStatus, 'conditions'> & { conditions: readonly object[] },
) {
  const plain = ({ conditions = [], ...rest }: { readonly conditions?: readonly object[] }) => ({
    ...rest,
    conditions: conditions.map((one) => ({ ...one, lastTransitionTime: undefined })),
  });
  return isDeepStrictEqual(JSON.parse(JSON.stringify(plain(a))), JSON.parse(JSON.stringify(plain(b))));
}

/** The certificate for the key in a Secret, as it was written. */
function certificateIn(secret: Secret | undefined, { bundle }: LeafIssuer): Record<string, string> {
  const text = (key: string) => Buffer.from(secret?.data?.[key] ?? '', 'base64').toString('latin1');
  const { key } = parsePrivateKey(text(secretKeys.privateKey));
  const chain = chainWithin(text(secretKeys.certificate), publicKeyDigest(key), bundle.roots);
  if (chain === undefined) throw new Error('there is no certificate to restore');
  return { [secretKeys.certificate]: base64(encodeCertificates([chain.leaf, ...chain.intermediates])) };
}

const bundleOf = ({ bundle }: LeafIssuer) => ({ [secretKeys.bundle]: base64(bundle.pem) });
