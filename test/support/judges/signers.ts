import { type KeyObject, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encoded } from '../../../src/pki/asn1/der.ts';
import {
  type Certificate,
  encodeCertificates,
  encodePrivateKey,
  type Issuer,
  inspectIssuer,
  type LeafIssuer,
  parseTrustAnchors,
  trustBundle,
} from '../../../src/pki/index.ts';
import { openssl, opensslFile, scratchFile } from '../openssl.ts';
import { isCa } from '../roots/extensions.ts';
import { inDays, makeCa } from '../roots/make.ts';
import { scratchFolder } from '../scratch.ts';
import { issueRoot } from '../sign.ts';
import type { Combination, KeyKind } from './combination.ts';
import { sharedKey } from './keys.ts';

/** The issuer of a combination, and a bundle in which another root has the same name. */
export interface SignerUnderTest extends LeafIssuer {
  readonly impostors: string;
}

const signers = new Map<string, Promise<SignerUnderTest>>();

export async function signerOf({ signer: shape, signerKey }: Combination): Promise<SignerUnderTest> {
  const id = `${shape} ${signerKey}`;
  const signer = signers.get(id) ?? makers[shape](signerKey).then(async (issuer) => withImpostor(issuer, signerKey));
  signers.set(id, signer);
  return signer;
}

/** All issuers are a year old and valid for years, so that a valid root can have expired and future leaves. */
const issuedAt = inDays(-365);
const endsAt = inDays(3000);

const makers: Record<Combination['signer'], (kind: KeyKind) => Promise<LeafIssuer>> = {
  issued: async (kind) => bundled(ownRoot(await sharedKey('signer', kind))),
  rotation: async (kind) => {
    const former = ownRoot(await sharedKey('former', kind));
    return bundled(ownRoot(await sharedKey('signer', kind)), former.anchor);
  },
  brought: async (kind) => {
    const key = await sharedKey('brought', kind);
    return bundled(inspected(await opensslRoot(key), key));
  },
  intermediate: async (kind) => {
    const root = makeCa({ name: 'Brought Root', notBefore: issuedAt, notAfter: endsAt });
    const key = await sharedKey('signer', kind);
    const between = makeCa({
      name: 'Issuing CA',
      key,
      by: root,
      constraints: isCa(0),
      notBefore: issuedAt,
      notAfter: endsAt,
    });
    return bundled(inspected(between.pem, key, root.pem));
  },
};

const bundled = (root: Issuer, ...others: readonly Certificate[]): LeafIssuer => ({
  root,
  bundle: trustBundle(root.anchor, others),
});

/** A root that the operator creates, read from its Secret by the operator's code. */
function ownRoot(key: KeyObject): Issuer {
  const profile = {
    subject: { commonName: 'mTLS Root', organizations: ['Example Org'] },
    durationMs: 3365 * 86_400_000,
  };
  const certificate = issueRoot(profile, key, { now: issuedAt, serialSeed: randomBytes(20) });
  return inspected(encodeCertificates([certificate]), key);
}

function inspected(crt: string, key: KeyObject, anchors = ''): Issuer {
  const inspection = inspectIssuer(crt, encodePrivateKey(key, 'PKCS8'), new Date(), parseTrustAnchors(anchors));
  if ('reason' in inspection) throw new Error(inspection.message);
  return inspection.issuer;
}

/** A root from `openssl ca`, the only openssl command with a start date in the past. */
async function opensslRoot(key: KeyObject): Promise<string> {
  const folder = await scratchFolder('brought');
  const keyFile = scratchFile(encodePrivateKey(key, 'PKCS8'));
  writeFileSync(join(folder, 'index.txt'), '');
  const config = scratchFile(`
[req]
distinguished_name = subject
[subject]
[ca]
default_ca = own
[own]
database = ${folder}/index.txt
new_certs_dir = ${folder}
rand_serial = yes
default_md = ${key.asymmetricKeyType === 'ed25519' ? 'default' : 'sha256'}
policy = any
x509_extensions = root
[any]
organizationName = optional
commonName = supplied
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
`);
  const request = scratchFile(
    openssl(['req', '-new', '-key', keyFile, '-config', config, '-subj', '/O=Example Org/CN=Brought Root']),
  );
  const dates = ['-startdate', opensslTime(issuedAt), '-enddate', opensslTime(endsAt)];
  const own = ['-config', config, '-selfsign', '-keyfile', keyFile, '-in', request];
  return opensslFile(['ca', '-batch', '-notext', ...own, ...dates]);
}

const opensslTime = (date: Date): string => date.toISOString().replaceAll(/[-:T]|\.\d+/g, '');

/** Adds a root with the name and key identifier of the real one, but another key. */
async function withImpostor(signer: LeafIssuer, kind: KeyKind): Promise<SignerUnderTest> {
  const { anchor } = signer.root;
  const others = signer.bundle.roots.filter(({ fingerprint }) => fingerprint !== anchor.fingerprint);
  const key = await sharedKey('impostor', kind);
  const impostor = makeCa({
    subject: encoded(anchor.subject),
    key,
    keyId: Buffer.from(anchor.subjectKeyId ?? '', 'hex'),
    notBefore: issuedAt,
    notAfter: endsAt,
  });
  return { ...signer, impostors: impostor.pem + encodeCertificates(others) };
}
