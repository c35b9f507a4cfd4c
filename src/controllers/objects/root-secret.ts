import type { KeyObject } from 'node:crypto';
import { annotations, rotationKeys, secretKeys } from '../../api/constants.ts';
import type { GuardedPatch, Secret } from '../../kube/index.ts';
import {
  anchorId,
  type Certificate,
  encodeCertificates,
  encodePrivateKey,
  type IssuerInspection,
  inspectIssuer,
  PkiError,
  parseTrustAnchors,
} from '../../pki/index.ts';
import {
  encodeRotationState,
  parsePodLeaves,
  parseRotationState,
  type RootSecret,
  type RotationStep,
} from '../../plan/index.ts';
import { base64, dataText } from './secret-data.ts';

/** A root that was just generated. */
export interface NewRoot {
  readonly certificate: Certificate;
  readonly key: KeyObject;
}

/** The data keys of each pair of certificate and key in a root Secret. */
const slots = { active: secretKeys, ...rotationKeys } as const;

/** Parses a root Secret. The result holds keys only as opaque key objects. */
export function rootSecret(secret: Secret, now: Date): RootSecret {
  const text = (key: string) => dataText(secret, key);
  const { metadata } = secret;
  const anchors = readAnchors(text(secretKeys.bundle));
  const known = 'problem' in anchors ? [] : anchors;
  const judge = ({ certificate, privateKey }: (typeof slots)[keyof typeof slots]): IssuerInspection =>
    inspectIssuer(text(certificate), text(privateKey), now, known);
  const judged = (slot: keyof typeof rotationKeys): { [key in typeof slot]?: IssuerInspection } =>
    text(slots[slot].certificate) + text(slots[slot].privateKey) === '' ? {} : { [slot]: judge(slots[slot]) };
  const inspection = judge(slots.active);
  const others = { ...judged('next'), ...judged('previous') };
  const signers = [inspection, ...Object.values(others)].flatMap((one) => ('issuer' in one ? one.issuer.anchor : []));
  const rotation = parseRotationState(metadata.annotations?.[annotations.rotation], [...known, ...signers]);
  const endedRotation = metadata.annotations?.[annotations.endedRotation];
  const handledToken = metadata.annotations?.[annotations.rotateRoot];
  const podLeaves = metadata.annotations?.[annotations.podCertificates];
  return {
    ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
    resourceVersion: metadata.resourceVersion ?? '',
    inspection,
    anchors,
    ...others,
    ...(rotation === undefined ? {} : { rotation }),
    ...(endedRotation === undefined ? {} : { endedRotation }),
    ...(handledToken === undefined ? {} : { handledToken }),
    ...(podLeaves === undefined ? {} : { podLeaves: parsePodLeaves(podLeaves) }),
  };
}

/**
 * The patch for one step of a rotation: keys, trusted roots and the state of the rotation in one write.
 * @param live the Secret, with its keys, that the step was planned for
 */
export function rotationPatch(live: Secret, step: RotationStep, made: NewRoot | undefined): GuardedPatch<Secret> {
  const { resourceVersion, move, generate, trusted, rotation, endedRotation, handledToken } = step;
  const written =
    rotation === undefined || rotation.new !== ''
      ? rotation
      : { ...rotation, new: made === undefined ? '' : anchorId(made.certificate) };
  return {
    metadata: {
      resourceVersion,
      annotations: {
        [annotations.rotation]: written === undefined ? null : encodeRotationState(written),
        ...(endedRotation === undefined ? {} : { [annotations.endedRotation]: endedRotation }),
        ...(handledToken === undefined ? {} : { [annotations.rotateRoot]: handledToken }),
      },
    },
    data: {
      ...(move.active === undefined ? {} : pair('active', live, move.active)),
      ...(move.next === null ? pair('next', live, null) : {}),
      ...(move.previous === undefined ? {} : pair('previous', live, move.previous)),
      ...(generate === undefined || made === undefined ? {} : keyPairData(generate.slot, made)),
      [secretKeys.bundle]: base64(encodeCertificates([...trusted, ...(made === undefined ? [] : [made.certificate])])),
    },
  };
}

type Slot = keyof typeof slots;

/** Data that copies one slot into another, or that clears the slot if `from` is null. */
function pair(to: Slot, { data }: Secret, from: Slot | null): Record<string, string | null> {
  const source = (key: 'certificate' | 'privateKey') => (from === null ? null : (data?.[slots[from][key]] ?? null));
  return {
    [slots[to].certificate]: source('certificate'),
    [slots[to].privateKey]: source('privateKey'),
  };
}

/** The data of a new root for a slot. */
export const keyPairData = (slot: Slot, { certificate, key }: NewRoot): Record<string, string> => ({
  [slots[slot].certificate]: base64(encodeCertificates([certificate])),
  [slots[slot].privateKey]: base64(encodePrivateKey(key, 'PKCS8')),
});

function readAnchors(pem: string): RootSecret['anchors'] {
  try {
    return parseTrustAnchors(pem);
  } catch (error) {
    if (error instanceof PkiError) return { problem: error.message };
    throw error;
  }
}
