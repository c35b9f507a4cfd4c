import { annotations as annotationNames, labels as labelNames } from '../../api/constants.ts';
import type { StoredForm } from '../../kube/index.ts';
import { type Certificate, type LeafRecord, resolveLeaf } from '../../pki/index.ts';
import {
  type CachedSecret,
  isExamined,
  type SecretContent,
  type SecretRecord,
  type UnexaminedSecret,
} from '../../plan/index.ts';
import { internPool } from '../objects/intern-pool.ts';

/** The compact form of a Secret's record: the cache holds more Secrets than objects of any other kind. */
interface KeptSecret {
  readonly resourceVersion: string;
  readonly changedAtMs: number;
  /** `written.atMs`. */
  readonly writtenAtMs?: number;
  /** The fields that thousands of Secrets share. */
  readonly common: Common;
  /** The fields that differ between Secrets: an Own as JSON. */
  readonly own: string;
  /** `unresolved` of the leaf. Outside the JSON, because resolveLeaf identifies its last attempt by this array object. */
  readonly unresolved?: readonly string[];
}

interface Common
  extends Pick<
    SecretRecord,
    'writable' | 'immutable' | 'labels' | 'annotations' | 'controller' | 'deleting' | 'modifiedByOthers'
  > {
  /** The label `certificate` names the owner, as it should. It is left out of `labels`. */
  readonly namesOwner: boolean;
  /** The annotation `secret-name` is the name of the Secret, as it should be. It is left out of `annotations`. */
  readonly namesItself: boolean;
  /** The annotation `certificate-uid` is the UID of the owner. It is left out of `annotations`. */
  readonly notesOwner: boolean;
  /** `written.isFirst`. */
  readonly isFirst?: boolean;
  readonly bundle?: string;
  readonly problem?: string;
  /** The public key in a Secret with a problem, which is rare. */
  readonly publicKey?: string;
  readonly leaf?: Pick<LeafRecord, 'keyKind' | 'keyEncoding'>;
  /** Root and issuer of the leaf. Times are numbers: comparing Dates would take most of the time in the intern pool. */
  readonly above?: { readonly root: string; readonly issuer: string; readonly fromMs: number; readonly toMs: number };
}

/** The compact form of a Secret that is not examined. `mark` is JSON. */
interface KeptMark {
  readonly resourceVersion: string;
  readonly changedAtMs: number;
  readonly mark: string;
}

type Own = [
  namespace: string,
  name: string,
  uid: string,
  owner: string | null,
  ownerName: string | null,
  leaf: OwnLeaf,
  digest?: string,
];
type OwnLeaf =
  | [
      fingerprint: string,
      serialNumber: string,
      profile: string,
      publicKey: string,
      notBeforeMs: number,
      notAfterMs: number,
    ]
  | null;

/**
 * The form in which the cache keeps Secrets. The root of a leaf may become known after its Secret was read. So each read from
 * the cache tries to resolve the root, and every reader sees it as soon as it is known. Signatures are verified once for each
 * set of roots.
 * @param roots returns the known roots
 */
export function compactSecretForm(
  roots: () => readonly Certificate[],
): StoredForm<CachedSecret, KeptSecret | KeptMark> {
  return {
    keep: (secret) => (isExamined(secret) ? compactSecret.keep(secret) : keptMarks.keep(secret)),
    read(kept) {
      if ('mark' in kept) return keptMarks.read(kept);
      const record = compactSecret.read(kept);
      const { content } = record;
      if (!('leaf' in content) || content.leaf.unresolved === undefined) return record;
      return { ...record, content: { ...content, leaf: resolveLeaf(content.leaf, roots()) } };
    },
  };
}

/** Takes about 300 bytes a Secret. */
const keptMarks: StoredForm<UnexaminedSecret, KeptMark> = {
  keep({ resourceVersion, changedAtMs, ...mark }) {
    return { resourceVersion, changedAtMs, mark: JSON.stringify(mark) };
  },
  read({ resourceVersion, changedAtMs, mark }) {
    return { ...(JSON.parse(mark) as UnexaminedSecret), resourceVersion, changedAtMs };
  },
};

/** Takes about 500 bytes a Secret. A record takes 1000: most of them are Dates and strings that all Secrets share. */
export const compactSecret: StoredForm<SecretRecord, KeptSecret> = {
  keep({
    namespace,
    name,
    uid,
    controller,
    owner,
    ownerName,
    deleting,
    resourceVersion,
    writable,
    immutable,
    labels,
    annotations,
    content,
    modifiedByOthers,
    changedAtMs,
    written,
  }) {
    const { [labelNames.certificate]: certificate, ...others } = labels;
    const namesOwner = certificate !== undefined && certificate === ownerName;
    const { [annotationNames.secretName]: secretName, [annotationNames.certificateUid]: uidNote } = annotations;
    const namesItself = secretName === name;
    const notesOwner = uidNote !== undefined && uidNote === owner;
    const itsOwn = [
      ...(namesItself ? [annotationNames.secretName] : []),
      ...(notesOwner ? [annotationNames.certificateUid] : []),
    ];
    const { digest } = content;
    const { unresolved } = leafIn(content) ?? {};
    const [contentInCommon, leaf] = partsOf(content);
    const common = {
      controller,
      ...(deleting && { deleting }),
      ...(modifiedByOthers && { modifiedByOthers }),
      writable,
      ...(immutable && { immutable }),
      labels: namesOwner ? others : labels,
      annotations: without(annotations, itsOwn),
      namesOwner,
      namesItself,
      notesOwner,
      ...(written && { isFirst: written.isFirst }),
      ...contentInCommon,
    };
    const itself = [namespace, name, uid, owner ?? null, ownerName ?? null, leaf] as const;
    const own: Own = digest === undefined ? [...itself] : [...itself, digest];
    return {
      resourceVersion,
      changedAtMs,
      ...(written && { writtenAtMs: written.atMs }),
      common: internPool.value(common),
      own: JSON.stringify(own),
      ...(unresolved && { unresolved }),
    };
  },

  read({ resourceVersion, changedAtMs, writtenAtMs, common, own, unresolved }) {
    const {
      controller,
      deleting,
      modifiedByOthers,
      writable,
      immutable,
      labels,
      annotations,
      isFirst = false,
    } = common;
    const { namesOwner, namesItself, notesOwner } = common;
    const [namespace, name, uid, owner, ownerName, leaf, digest] = JSON.parse(own) as Own;
    return {
      namespace,
      name,
      uid,
      resourceVersion,
      controller,
      ...(deleting && { deleting }),
      ...(owner !== null && { owner }),
      ...(ownerName !== null && { ownerName }),
      writable,
      ...(immutable && { immutable }),
      labels: namesOwner && ownerName !== null ? { ...labels, [labelNames.certificate]: ownerName } : labels,
      annotations: {
        ...annotations,
        ...(namesItself && { [annotationNames.secretName]: name }),
        ...(notesOwner && owner !== null && { [annotationNames.certificateUid]: owner }),
      },
      content: contentOf(common, leaf, digest, unresolved),
      ...(modifiedByOthers && { modifiedByOthers }),
      changedAtMs,
      ...(writtenAtMs !== undefined && { written: { atMs: writtenAtMs, isFirst } }),
    };
  },
};

const without = (all: Readonly<Record<string, string>>, keys: readonly string[]): Record<string, string> =>
  Object.fromEntries(Object.entries(all).filter(([key]) => !keys.includes(key)));

type ContentInCommon = Pick<Common, 'bundle' | 'problem' | 'publicKey' | 'leaf' | 'above'>;

const leafIn = (content: SecretContent): LeafRecord | undefined =>
  'leaf' in content ? content.leaf : content.restorable;

function partsOf(content: SecretContent): [ContentInCommon, OwnLeaf] {
  if ('leaf' in content) return leafParts(content.leaf, content);
  const { restorable, digest: _, ...others } = content;
  if (restorable === undefined) return [others, null];
  const [common, own] = leafParts(restorable, others);
  return [{ ...others, ...common }, own];
}

function leafParts(leaf: LeafRecord, { bundle }: Pick<SecretContent, 'bundle'>): [ContentInCommon, OwnLeaf] {
  const { keyKind, keyEncoding, fingerprint, serialNumber, profile, publicKey, notBefore, notAfter } = leaf;
  const above = authorityOf(leaf);
  const common = {
    leaf: { keyKind, keyEncoding },
    ...(above && { above }),
    ...(bundle !== undefined && { bundle }),
  };
  return [common, [fingerprint, serialNumber, profile, publicKey, notBefore.getTime(), notAfter.getTime()]];
}

function authorityOf({ root, issuer, issuerNotBefore: from, issuerNotAfter: to }: LeafRecord): Common['above'] {
  const isKnown = root !== undefined && issuer !== undefined && from !== undefined && to !== undefined;
  return isKnown ? { root, issuer, fromMs: from.getTime(), toMs: to.getTime() } : undefined;
}

function contentOf(
  { bundle, problem, publicKey, ...common }: Common,
  own: OwnLeaf,
  digest: string | undefined,
  unresolved: readonly string[] | undefined,
): SecretContent {
  const rest = { ...(bundle !== undefined && { bundle }), ...(digest !== undefined && { digest }) };
  const leaf = leafOf(common, own, unresolved);
  if (leaf !== undefined && problem === undefined) return { leaf, ...rest };
  const remains = { ...(publicKey !== undefined && { publicKey }), ...(leaf && { restorable: leaf }) };
  return { problem: problem ?? '', ...remains, ...rest };
}

function leafOf(
  { leaf, above }: Pick<Common, 'leaf' | 'above'>,
  own: OwnLeaf,
  unresolved: readonly string[] | undefined,
): LeafRecord | undefined {
  if (leaf === undefined || own === null) return undefined;
  const [fingerprint, serialNumber, profile, publicKey, notBeforeMs, notAfterMs] = own;
  const [notBefore, notAfter] = [new Date(notBeforeMs), new Date(notAfterMs)];
  return {
    fingerprint,
    serialNumber,
    notBefore,
    notAfter,
    profile,
    publicKey,
    ...leaf,
    ...(above && authority(above)),
    ...(unresolved && { unresolved }),
  };
}

const authority = ({ root, issuer, fromMs, toMs }: NonNullable<Common['above']>) => ({
  root,
  issuer,
  issuerNotBefore: new Date(fromMs),
  issuerNotAfter: new Date(toMs),
});
