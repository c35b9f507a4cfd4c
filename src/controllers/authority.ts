import { randomBytes } from 'node:crypto';
import { apiVersion, labels, managerName, secretKeys, secretType } from '../api/names.ts';
import {
  type EventNote,
  isKubeError,
  type KubeClient,
  type Secret,
  type Store,
  secrets as secretResource,
} from '../kube/index.ts';
import {
  encodeCertificates,
  encodePrivateKey,
  generatePrivateKey,
  inspectRoot,
  issueRoot,
  PkiError,
  parseTrustAnchors,
  trustBundle,
} from '../pki/index.ts';
import {
  type AuthorityRecord,
  type AuthorityStep,
  type ObservedAuthority,
  planAuthority,
  planAuthorityStatus,
  type RootSecret,
} from '../plan/index.ts';
import type { AuthorityViews } from './authority-views.ts';
import type { Recorder } from './certificate-events.ts';
import { authorityRecord, authorities as authorityResource } from './resources.ts';
import { base64, dataText } from './secret-data.ts';
import { writeStatus } from './status-writer.ts';

/** What the controller works with; all of it is made in one place, operator.ts. */
export interface AuthorityContext {
  readonly client: KubeClient;
  /** The operator's namespace, where root Secrets are. */
  readonly namespace: string;
  readonly authorities: Store<AuthorityRecord, 'rootSecret'>;
  readonly views: AuthorityViews;
  /** How many MtlsCertificates refer to an authority. */
  readonly certificateCount: (authority: string) => number;
  /** Called when certificates of an authority have to be looked at again. */
  readonly onChange: (authority: string) => void;
  readonly recorder: Recorder;
  readonly now: () => Date;
}

/** Makes and judges the roots of MtlsAuthorities: observe, plan, carry out, write status. */
export class AuthorityReconciler {
  readonly #context: AuthorityContext;

  constructor(context: AuthorityContext) {
    this.#context = context;
  }

  async reconcile(name: string, { signal }: { signal: AbortSignal }): Promise<{ requeueAt: Date } | undefined> {
    const { authorities, views, onChange } = this.#context;
    const authority = authorities.get(name);
    if (authority === undefined) {
      views.delete(name);
      onChange(name);
      return undefined;
    }
    let observed = await this.#observe(authority, signal);
    let plan = planAuthority(observed);
    if (plan.step.step !== 'keep') {
      await this.#carryOut(authority, plan.step, signal);
      observed = await this.#observe(authority, signal);
      plan = planAuthority(observed);
    }
    if (views.set(authority, plan.verdict)) onChange(name);
    return this.#writeStatus(observed, plan.verdict, signal);
  }

  /** Judges a root without writing anything, for replicas that do not lead, and before Secrets are read at start. */
  async look(name: string, signal: AbortSignal): Promise<void> {
    const { authorities, views } = this.#context;
    const authority = authorities.get(name);
    if (authority === undefined) views.delete(name);
    else views.set(authority, planAuthority(await this.#observe(authority, signal)).verdict);
  }

  async #observe(authority: AuthorityRecord, signal: AbortSignal): Promise<ObservedAuthority> {
    const { client, namespace, certificateCount, now } = this.#context;
    const certificates = certificateCount(authority.name);
    try {
      // Always read live: a decision about a root rests on the root, and there are few of them.
      const secret = await client.get(secretResource, { namespace, name: authority.spec.secretName }, { signal });
      return { authority, secret: rootSecret(secret, now()), certificates };
    } catch (error) {
      if (isKubeError(error, 'NotFound')) return { authority, certificates };
      throw error;
    }
  }

  async #carryOut(authority: AuthorityRecord, step: AuthorityStep, signal: AbortSignal): Promise<void> {
    const { client, namespace, recorder, now } = this.#context;
    const { spec } = authority;
    const event = (reason: string, note: string): EventNote => ({
      regarding: referenceTo(authority),
      type: 'Normal',
      reason,
      action: 'Reconcile',
      note,
    });
    try {
      if (step.step === 'create') {
        const key = await generatePrivateKey(step.key);
        const root = issueRoot(step.profile, key, { now: now(), serialSeed: randomBytes(20) });
        const data = {
          [secretKeys.certificate]: base64(encodeCertificates([root])),
          [secretKeys.privateKey]: base64(encodePrivateKey(key, 'PKCS8')),
          [secretKeys.bundle]: base64(trustBundle(root, step.remembered).pem),
        };
        const metadata = { namespace, name: spec.secretName, labels: { [labels.managedBy]: managerName } };
        // Creation only: a root that is there is never written over, whoever else was quicker.
        await client.create(
          secretResource,
          { apiVersion: 'v1', kind: 'Secret', metadata, type: secretType, data },
          { signal },
        );
        recorder.record(
          event('RootCreated', `Created root ${root.fingerprint.slice(0, 16)} in Secret ${spec.secretName}`),
        );
      } else if (step.step === 'remember') {
        const metadata = { resourceVersion: step.resourceVersion };
        const data = { [secretKeys.bundle]: base64(step.bundle.pem) };
        await client.mergePatch(secretResource, { namespace, name: spec.secretName }, { metadata, data }, { signal });
        recorder.record(event('RootReplaced', 'The active root was replaced; its predecessor goes on being trusted'));
      }
    } catch (error) {
      // Somebody else was quicker; what is there now is looked at again.
      if (!isKubeError(error, 'AlreadyExists', 'Conflict')) throw error;
    }
  }

  async #writeStatus(
    observed: ObservedAuthority,
    verdict: Parameters<typeof planAuthorityStatus>[1],
    signal: AbortSignal,
  ): Promise<{ requeueAt: Date } | undefined> {
    const { client, authorities, recorder, now } = this.#context;
    const { authority } = observed;
    const { status, revisitAt } = planAuthorityStatus(observed, verdict, now());
    const writer = {
      client,
      resource: authorityResource,
      store: authorities,
      toRecord: authorityRecord,
      isSameRequest,
    };
    if (!(await writeStatus(writer, authority, status, now(), signal))) return undefined;
    const { type, reason, message } = status.conditions[0] ?? {};
    const wasSaid = authority.status.conditions?.some((old) => old.type === type && old.message === message);
    if (verdict.state === 'notReady' && wasSaid !== true) {
      const regarding = referenceTo(authority);
      recorder.record({ regarding, type: 'Warning', reason: reason ?? '', action: 'Reconcile', note: message ?? '' });
    }
    return revisitAt === undefined ? undefined : { requeueAt: revisitAt };
  }
}

/** The object that events are about. */
const referenceTo = ({ name, uid }: AuthorityRecord) => ({ apiVersion, kind: 'MtlsAuthority', name, uid });

/** True when nothing has changed that a person asks for. */
const isSameRequest = (a: AuthorityRecord, b: AuthorityRecord): boolean =>
  a.generation === b.generation && a.deleting === b.deleting;

/** What is known of a root Secret. Its key lives on as an opaque key object only. */
function rootSecret(secret: Secret, now: Date): RootSecret {
  const text = (key: string) => dataText(secret, key);
  const anchors = readAnchors(text(secretKeys.bundle));
  const known = 'problem' in anchors ? [] : anchors;
  return {
    resourceVersion: secret.metadata.resourceVersion ?? '',
    inspection: inspectRoot(text(secretKeys.certificate), text(secretKeys.privateKey), now, known),
    anchors,
  };
}

function readAnchors(pem: string): RootSecret['anchors'] {
  try {
    return parseTrustAnchors(pem);
  } catch (error) {
    if (error instanceof PkiError) return { problem: error.message };
    throw error;
  }
}
