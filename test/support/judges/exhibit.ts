import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { secretKeys } from '../../../src/api/constants.ts';
import type { MtlsCertificateSpec, OtherName, ServerRole, Subject } from '../../../src/api/types.ts';
import { sequence } from '../../../src/pki/asn1/der.ts';
import { oids } from '../../../src/pki/asn1/oid.ts';
import { encodePem } from '../../../src/pki/asn1/pem.ts';
import { encodeCertificates, encodePrivateKey, parseCertificates } from '../../../src/pki/index.ts';
import { keyUsageBits } from '../../../src/pki/x509/certificate.ts';
import { type LeafRequest, leafRequest } from '../../../src/plan/certificate/leaf-request.ts';
import { issuancePolicy, type SecretContent } from '../../../src/plan/index.ts';
import { base64 } from '../api.ts';
import { extension, keyUsage } from '../roots/extensions.ts';
import { makeCa } from '../roots/make.ts';
import { issueContent } from '../sign.ts';
import type { Combination } from './combination.ts';
import { keySpec, sharedKey } from './keys.ts';
import type { Name } from './question.ts';
import { signerOf } from './signers.ts';

/** Certificates of one combination, each with key and bundle, as files of a mounted Secret. */
export interface Exhibit {
  readonly combination: Combination;
  /** Valid now. */
  readonly folder: string;
  /** The valid certificate issued two days earlier, so that it has expired. */
  readonly expiredFolder: string;
  /** The valid certificate issued two days later, so that it is not valid yet. */
  readonly futureFolder: string;
  /** The valid certificate with one bit of its signature flipped. */
  readonly forgedFolder: string;
  /** Path of a bundle of roots that have not signed the certificate. */
  readonly impostors: string;
  /** Names that judges must accept. */
  readonly names: readonly Name[];
  /** Its common name, if that is a DNS name that is not among the alternative names. */
  readonly commonName?: Name;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

const dayMs = 86_400_000;

/** Issues the certificates of a combination with the operator's own code, into a new folder. */
export async function exhibit(combination: Combination, folder: string): Promise<Exhibit> {
  const request = requestOf(combination);
  const signer = await signerOf(combination);
  const key = await sharedKey('leaf', combination.key);
  const issue = (now: number) => {
    const { data, content } = issueContent(request, key, signer, new Date(now));
    // In addition to the files of a Secret: the key in PKCS#8, for judges that cannot read the other encodings.
    const pkcs8 = base64(encodePrivateKey(key, 'PKCS8'));
    return { data: { ...data, 'pkcs8.key': pkcs8 }, leaf: leafOf(content) };
  };
  const now = Date.now();
  const valid = issue(now);
  const impostors = join(folder, 'impostors.crt');
  mkdirSync(folder);
  writeFileSync(impostors, signer.impostors);
  return {
    combination,
    folder: mounted(join(folder, 'valid'), valid.data),
    expiredFolder: mounted(join(folder, 'expired'), issue(now - 2 * dayMs).data),
    futureFolder: mounted(join(folder, 'future'), issue(now + 2 * dayMs).data),
    forgedFolder: mounted(join(folder, 'forged'), forged(issue(now).data)),
    impostors,
    names: names[combination.names].validFor,
    ...(combination.subject === 'commonName' ? { commonName: `dns:${loneCommonName}` as const } : {}),
    notBefore: valid.leaf.notBefore,
    notAfter: valid.leaf.notAfter,
  };
}

/** Flips the last bit of the first certificate, which belongs to its signature. */
function forged(data: Readonly<Record<string, string>>): Record<string, string> {
  const pem = Buffer.from(data[secretKeys.certificate] ?? '', 'base64').toString();
  const [leaf, ...intermediates] = parseCertificates(pem);
  if (leaf === undefined) throw new Error('tls.crt has no certificate');
  const der = Buffer.from(leaf.der);
  der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
  const chain = encodePem('CERTIFICATE', der) + encodeCertificates(intermediates);
  return { ...data, [secretKeys.certificate]: base64(chain) };
}

function leafOf(content: SecretContent) {
  if ('problem' in content) throw new Error(content.problem);
  return content.leaf;
}

/** Creates a folder with the root that the operator creates for a combination. */
export async function rootExhibit(combination: Combination, folder: string): Promise<string> {
  const { root } = await signerOf(combination);
  return mounted(folder, { [secretKeys.certificate]: base64(encodeCertificates([root.certificate])) });
}

/** Creates a folder with a malformed certificate: not a CA but with keyCertSign, and an empty subjectAltName. */
export function malformedExhibit(folder: string): string {
  const extensions = [
    extension(oids.basicConstraints, sequence(), true),
    keyUsage([keyUsageBits.digitalSignature, keyUsageBits.keyCertSign]),
    extension(oids.subjectAltName, sequence()),
  ];
  return mounted(folder, { [secretKeys.certificate]: base64(makeCa({ extensions }).pem) });
}

function mounted(folder: string, data: Readonly<Record<string, string>>): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const [name, base64] of Object.entries(data)) {
    writeFileSync(join(folder, name), Buffer.from(base64, 'base64'), { mode: 0o600 });
  }
  return folder;
}

interface Names {
  readonly requested: ServerRole;
  readonly validFor: readonly Name[];
}

const longName = `${['a', 'b', 'c'].map((letter) => letter.repeat(63)).join('.')}.${'d'.repeat(49)}.example.com`;
const loneCommonName = 'common.shop.svc.cluster.local';
const userPrincipalName: OtherName = { oid: '1.3.6.1.4.1.311.20.2.3', utf8Value: 'jörg@example.com' };

const plainNames = {
  service: { requested: { service: 'payments' }, validFor: ['dns:payments', 'dns:payments.shop.svc.cluster.local'] },
  dns: { requested: { dnsNames: ['api.example.com'] }, validFor: ['dns:api.example.com', 'dns:API.Example.com'] },
  wildcard: { requested: { dnsNames: ['*.example.com'] }, validFor: ['dns:any.example.com'] },
  long: { requested: { dnsNames: [longName] }, validFor: [`dns:${longName}`] },
  ipv4: { requested: { ipAddresses: ['192.0.2.10'] }, validFor: ['ip:192.0.2.10'] },
  ipv6: { requested: { ipAddresses: ['2001:db8::10'] }, validFor: ['ip:2001:db8::10'] },
  uri: { requested: { uris: ['spiffe://cluster.local/ns/shop/sa/checkout'] }, validFor: [] },
  email: { requested: { emailAddresses: ['ops@example.com'] }, validFor: ['email:ops@example.com'] },
  otherName: { requested: { otherNames: [userPrincipalName] }, validFor: [] },
} as const satisfies Record<string, Names>;

const names: Record<Combination['names'], Names> = {
  ...plainNames,
  all: {
    requested: {
      dnsNames: ['api.example.com', '*.example.com', longName],
      ipAddresses: ['192.0.2.10', '2001:db8::10'],
      uris: ['spiffe://cluster.local/ns/shop/sa/checkout'],
      emailAddresses: ['ops@example.com'],
      otherNames: [userPrincipalName],
    },
    validFor: [
      'dns:api.example.com',
      'dns:any.example.com',
      'ip:192.0.2.10',
      'ip:2001:db8::10',
      'email:ops@example.com',
    ],
  },
};

interface Subjects {
  readonly subject?: Subject;
  readonly commonName?: string;
}

const subjects: Record<Combination['subject'], Subjects> = {
  empty: {},
  commonName: { commonName: loneCommonName },
  full: {
    commonName: 'payments',
    subject: {
      organizations: ['Example Org', 'Example Holding'],
      organizationalUnits: ['Payments'],
      countries: ['DE'],
      provinces: ['Hessen'],
      localities: ['Frankfurt am Main'],
      streetAddresses: ['Taunusanlage 1'],
      postalCodes: ['60329'],
      serialNumber: 'HRB 12345',
    },
  },
  nonAscii: {
    commonName: 'Zahlungen für Köln',
    subject: { organizations: ['Ämter & Straßen 株式会社'], localities: ['Zürich'], provinces: ['Øst'] },
  },
  // The longest values in characters that RFC 5280 allows: in UTF-8 they have more octets.
  long: {
    commonName: 'c'.repeat(64),
    subject: { organizations: ['ö'.repeat(64)], organizationalUnits: ['u'.repeat(64)], localities: ['l'.repeat(128)] },
  },
};

const scope = {
  namespace: 'shop',
  labels: {},
  authority: 'default',
  trustDomain: 'cluster.local',
  clusterDomain: 'cluster.local',
  issuance: issuancePolicy({
    allow: [
      {
        namespaceSelector: {},
        dnsNames: ['payments', '*.example.com', longName],
        ipRanges: ['192.0.2.0/24', '2001:db8::/32'],
        emailAddresses: ['*@example.com'],
        otherNames: [{ oid: userPrincipalName.oid, utf8Values: [userPrincipalName.utf8Value] }],
        commonNames: Object.values(subjects).flatMap(({ commonName }) => commonName ?? []),
        subject: {
          organizations: ['*'],
          organizationalUnits: ['*'],
          countries: ['DE'],
          provinces: ['*'],
          localities: ['*'],
          streetAddresses: ['*'],
          postalCodes: ['60*'],
          serialNumbers: ['HRB *'],
        },
      },
    ],
  }),
};

/** The request of a resource with this combination, checked and authorised by the operator's code. */
function requestOf({ key, role, names: kind, subject: subjectKind, encoding }: Combination): LeafRequest {
  const { requested } = names[kind];
  const { subject, commonName } = subjects[subjectKind];
  const { algorithm } = keySpec(key);
  const traditional = algorithm === 'RSA' ? 'PKCS1' : 'SEC1';
  const spec: MtlsCertificateSpec = {
    authorityRef: { name: 'default' },
    [role]: { ...requested, ...(commonName === undefined ? {} : { commonName }) },
    duration: '24h',
    privateKey: {
      ...keySpec(key),
      encoding: encoding === 'PKCS8' ? 'PKCS8' : traditional,
      rotationPolicy: 'Always',
    },
    deletionPolicy: 'Delete' as const,
    ...(subject === undefined ? {} : { subject }),
  };
  const request = leafRequest(spec, role, scope);
  if ('reason' in request) throw new Error(request.message);
  return request;
}
