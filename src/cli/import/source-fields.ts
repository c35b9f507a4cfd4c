/** The JSON type of a field. `any` covers everything below the field. */
export type FieldType = 'any' | 'boolean' | 'integer' | 'map' | 'object' | 'objects' | 'string' | 'strings';

/**
 * What becomes of a field. `kept`: the same value in a field of ours. `converted`: an equal setting, or a refusal if there is none.
 * `dropped`: it has no effect on a certificate of a CA issuer, or on who trusts it. `refused`: it has no equal, and the object is not written.
 */
export type Fate = 'kept' | 'converted' | 'dropped' | 'refused';

/** A field of cert-manager's API below `spec`. */
export interface SourceField {
  /** Its path below spec; `[]` stands for the items of a list. */
  readonly path: string;
  readonly type: FieldType;
  readonly fate: Fate;
  /** What becomes of it. For a refused field, the reason. It is printed in the report and in docs/reference/cert-manager.md. */
  readonly becomes: string;
}

const row = (path: string, type: FieldType, fate: Fate, becomes: string): SourceField => ({
  path,
  type,
  fate,
  becomes,
});

/** The version of cert-manager whose fields the tables list. */
export const certManagerVersion = '1.21';

const order =
  'the same values, each with a grant; the attributes must have the same order in both certificates (see `subject`)';

/** Every field of spec of a Certificate. */
export const certificateFields: readonly SourceField[] = [
  row('additionalOutputFormats', 'objects', 'converted', '`outputs`'),
  row(
    'additionalOutputFormats[].type',
    'string',
    'converted',
    '`CombinedPEM`: `outputs.combinedPEM`; `DER`: `outputs.der`. The keys in the Secret stay the same',
  ),
  row(
    'commonName',
    'string',
    'converted',
    '`<role>.commonName`, with a grant unless it is an own name of the namespace. A certificate without any subject alternative name is refused',
  ),
  row(
    'dnsNames',
    'strings',
    'converted',
    '`<role>.dnsNames` in lower case, with grants for names that are not names of Services of the namespace',
  ),
  row('duration', 'string', 'kept', '`duration`. Both have the default 2160h'),
  row('emailAddresses', 'strings', 'kept', '`<role>.emailAddresses`, each with a grant'),
  row('encodeUsagesInRequest', 'boolean', 'dropped', 'only changes the certificate request; the operator makes none'),
  row('ipAddresses', 'strings', 'kept', '`<role>.ipAddresses`, each with a grant for this address'),
  row('isCA', 'boolean', 'refused', 'the operator issues no CA certificates'),
  row('issuerRef', 'object', 'converted', '`authorityRef`'),
  row(
    'issuerRef.group',
    'string',
    'converted',
    '`cert-manager.io` only; the certificates of an external issuer are refused',
  ),
  row('issuerRef.kind', 'string', 'converted', '`Issuer` (default) or `ClusterIssuer`'),
  row('issuerRef.name', 'string', 'converted', '`authorityRef.name`: the authority that is made from this issuer'),
  row('keystores', 'object', 'converted', '`outputs`'),
  row(
    'keystores.jks',
    'object',
    'converted',
    'refused if `create` is true: the operator writes PKCS#12, which Java also reads; use keystores.pkcs12',
  ),
  row('keystores.jks.alias', 'string', 'converted', 'see `keystores.jks`'),
  row('keystores.jks.create', 'boolean', 'converted', 'see `keystores.jks`'),
  row('keystores.jks.password', 'string', 'converted', 'see `keystores.jks`'),
  row('keystores.jks.passwordSecretRef', 'object', 'converted', 'see `keystores.jks`'),
  row('keystores.jks.passwordSecretRef.key', 'string', 'converted', 'see `keystores.jks`'),
  row('keystores.jks.passwordSecretRef.name', 'string', 'converted', 'see `keystores.jks`'),
  row(
    'keystores.pkcs12',
    'object',
    'converted',
    '`outputs.pkcs12` if `create` is true, with the same keys keystore.p12 and truststore.p12',
  ),
  row('keystores.pkcs12.create', 'boolean', 'converted', 'see `keystores.pkcs12`'),
  row(
    'keystores.pkcs12.password',
    'string',
    'converted',
    'refused: a password does not belong in a manifest; use passwordSecretRef',
  ),
  row('keystores.pkcs12.passwordSecretRef', 'object', 'converted', '`outputs.pkcs12.passwordSecretRef`'),
  row('keystores.pkcs12.passwordSecretRef.key', 'string', 'kept', '`outputs.pkcs12.passwordSecretRef.key`'),
  row('keystores.pkcs12.passwordSecretRef.name', 'string', 'kept', '`outputs.pkcs12.passwordSecretRef.name`'),
  row(
    'keystores.pkcs12.profile',
    'string',
    'converted',
    '`Modern2023`, `Modern2026` or absent: the operator encrypts with AES-256 and HMAC-SHA-256. `LegacyRC2` and `LegacyDES` are refused',
  ),
  row(
    'literalSubject',
    'string',
    'refused',
    'it fixes the order of the attributes, and the operator has one order for all; use commonName and subject',
  ),
  row('nameConstraints', 'any', 'refused', 'only CA certificates have name constraints, and the operator issues none'),
  row('otherNames', 'objects', 'kept', '`<role>.otherNames`, each with a grant'),
  row('otherNames[].oid', 'string', 'kept', '`<role>.otherNames[].oid`'),
  row('otherNames[].utf8Value', 'string', 'kept', '`<role>.otherNames[].utf8Value`'),
  row(
    'privateKey',
    'object',
    'converted',
    '`privateKey`. The defaults of both differ, so they are written out: RSA, 2048, PKCS1',
  ),
  row('privateKey.algorithm', 'string', 'kept', '`privateKey.algorithm`'),
  row(
    'privateKey.encoding',
    'string',
    'converted',
    '`privateKey.encoding`. PKCS1 (default) of an ECDSA key is SEC1, of an Ed25519 key PKCS8',
  ),
  row('privateKey.rotationPolicy', 'string', 'kept', '`privateKey.rotationPolicy`. Both have the default Always'),
  row(
    'privateKey.size',
    'integer',
    'converted',
    '`privateKey.size`. RSA: 2048, 3072, 4096 and 8192; another size is refused',
  ),
  row('renewBefore', 'string', 'kept', '`renewBefore`. Both have the default of a third of the lifetime'),
  row('renewBeforePercentage', 'integer', 'kept', '`renewBeforePercentage`'),
  row('renewal', 'object', 'converted', 'refused, unless it only has the default policy'),
  row(
    'renewal.policy',
    'string',
    'converted',
    '`RenewBefore` is what the operator does; `Disabled` is refused, because the operator renews every certificate',
  ),
  row('renewal.windows', 'any', 'refused', 'the operator renews at any time of the day'),
  row('revisionHistoryLimit', 'integer', 'dropped', 'the operator has no certificate requests, so it keeps none'),
  row('secretName', 'string', 'kept', '`<role>.secretName`'),
  row('secretTemplate', 'object', 'kept', '`secretTemplate`'),
  row(
    'secretTemplate.annotations',
    'map',
    'converted',
    '`secretTemplate.annotations`. Keys of Kubernetes are reserved and refused',
  ),
  row(
    'secretTemplate.labels',
    'map',
    'converted',
    '`secretTemplate.labels`. Keys of Kubernetes are reserved and refused',
  ),
  row(
    'signatureAlgorithm',
    'string',
    'dropped',
    'it signs the certificate request; the key of the CA decides how the certificate is signed',
  ),
  row(
    'subject',
    'object',
    'converted',
    '`subject`. Refused if the operator would encode the attributes in another order or more than one value of an attribute, because programs compare whole subjects; `--accept-subject-order` writes them',
  ),
  row('subject.countries', 'strings', 'converted', order),
  row('subject.localities', 'strings', 'converted', order),
  row('subject.organizationalUnits', 'strings', 'converted', order),
  row('subject.organizations', 'strings', 'converted', order),
  row('subject.postalCodes', 'strings', 'converted', order),
  row('subject.provinces', 'strings', 'converted', order),
  row('subject.serialNumber', 'string', 'converted', order),
  row('subject.streetAddresses', 'strings', 'converted', order),
  row(
    'uris',
    'strings',
    'converted',
    '`<role>.uris` with grants. The SPIFFE ID of a ServiceAccount of the namespace becomes `serviceAccount` of a client or peer, which needs no grant',
  ),
  row('usages', 'strings', 'converted', 'the role and `<role>.usages`: see below'),
];

const aia = 'it would be in every certificate, and the operator has no such field';
const otherIssuer = 'the operator signs with a CA key of its own; it passes no requests to others';

/** Every field of spec of an Issuer and a ClusterIssuer. */
export const issuerFields: readonly SourceField[] = [
  row('acme', 'any', 'refused', otherIssuer),
  row(
    'ca',
    'object',
    'converted',
    'an MtlsAuthority, with grants for the names of the certificates. The authority of an Issuer serves only the namespace of the Issuer',
  ),
  row('ca.crlDistributionPoints', 'strings', 'refused', aia),
  row('ca.issuingCertificateURLs', 'strings', 'refused', aia),
  row('ca.ocspServers', 'strings', 'refused', aia),
  row(
    'ca.secretName',
    'string',
    'converted',
    '`secretName`, a copy of the Secret in the namespace of the operator. The report has the command that copies it',
  ),
  row(
    'selfSigned',
    'any',
    'converted',
    'no object, because the authority signs with the CA that exists. A Certificate that is no CA is refused if a selfSigned issuer signs it',
  ),
  row('vault', 'any', 'refused', otherIssuer),
  row('venafi', 'any', 'refused', otherIssuer),
];
