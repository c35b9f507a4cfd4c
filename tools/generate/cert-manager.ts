import {
  certificateFields,
  certManagerVersion,
  issuerFields,
  type SourceField,
  usageTable,
} from '../../src/cli/index.ts';

const cell = (text: string): string => text.replaceAll('|', '\\|');

const fieldTable = (fields: readonly SourceField[]): string[] => [
  '| Field below `spec` | Outcome | What becomes of it |',
  '| --- | --- | --- |',
  ...fields.map(({ path, fate, becomes }) => `| \`${path}\` | ${fate} | ${cell(becomes)} |`),
];

/** The text of docs/reference/cert-manager.md. */
export function certManagerFile(): string {
  return [
    '<!-- Generated from src/cli/import by `npm run generate`. Do not edit. -->',
    '',
    '# Fields of cert-manager',
    '',
    '`npm run import -- cert-manager` converts Certificates, Issuers and ClusterIssuers into MtlsCertificates and MtlsAuthorities.',
    '[Leave cert-manager](../how-to/leave-cert-manager.md#1-convert-the-manifests) shows how to run it. This page lists every field of',
    `cert-manager ${certManagerVersion} and what becomes of it:`,
    '',
    '- **kept**: a field of MtlsCertificate has the same value.',
    '- **converted**: an equal setting in another form replaces it. A value without an equal makes the tool refuse the object: the last column says which.',
    '- **dropped**: it has no effect on a certificate of a CA issuer. The report names it.',
    '- **refused**: it has no equal. The object is in the report with the reason, and no manifest is written for it.',
    '',
    'The tool also refuses a field that this page does not list, and a Certificate that the operator would refuse. `--help` lists the options.',
    '',
    '## Certificate',
    '',
    ...fieldTable(certificateFields),
    '',
    'An MtlsCertificate keeps the name and the namespace of its Certificate. Labels and annotations of the Certificate itself are not copied. It has',
    '`deletionPolicy: Retain`, because cert-manager keeps a Secret when its Certificate is deleted.',
    '',
    '### Usages',
    '',
    '| Usage | What becomes of it |',
    '| --- | --- |',
    ...Object.entries(usageTable).map(([usage, { becomes }]) => `| \`${usage}\` | ${cell(becomes)} |`),
    '| any other | refused: the operator issues no certificate with it |',
    '',
    'cert-manager adds no extended key usage by default, and such a certificate is for any purpose. The operator always names the purpose. A',
    'Certificate with neither `server auth` nor `client auth` becomes a `peer`, for both sides of TLS; `--default-role` chooses another role.',
    '',
    '## Issuer and ClusterIssuer',
    '',
    ...fieldTable(issuerFields),
    '',
    'A ClusterIssuer becomes an MtlsAuthority of the same name. An Issuer becomes `<namespace>-<name>`, and its `issuance.namespaceSelector` selects',
    'its namespace alone. `issuance.allow` grants each namespace the names of its Certificates and nothing else; a wildcard name is also the pattern of',
    'its grant. The MtlsAuthority has no `root`, so the operator never generates a CA in place of the one that you copy.',
    '',
    'The Certificate of a CA needs no successor: the authority signs with a copy of its Secret.',
    '',
    '## Bundle of trust-manager',
    '',
    'The tool does not convert it. An MtlsAuthority [publishes its roots](../how-to/publish-roots.md) with `trustBundle.configMap`, also as PKCS#12, and',
    'adds [roots of others](../how-to/trust-other-roots.md) with `trustBundle.additional`.',
    '',
  ].join('\n');
}
