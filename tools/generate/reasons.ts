import { type Documented, unionMembers } from './doc-comments.ts';

/** The sources that the reasons are read from. */
export interface ReasonSources {
  /** src/api/reasons.ts */
  readonly reasons: string;
  /** src/pki/issuer/ca-validation.ts and src/pki/issuer/issuer.ts */
  readonly roots: readonly [caValidation: string, issuer: string];
}

const conditionsHeader = `<!-- Generated from the comments in src/api/reasons.ts and src/pki/issuer by \`npm run generate\`. Do not edit. -->

# Conditions

\`kubectl get mcert\` and \`kubectl get mauth\` show the reason of the condition \`Ready\`. \`kubectl describe\` shows the message of
every condition: what is wrong, where, and the command that helps.

Programs may rely on the types and reasons on this page. Messages may change with any version. A condition type that has been set
once stays, with status False and a reason. \`observedGeneration\` of a condition is the \`metadata.generation\` that the operator has processed. The
CRDs give a new resource \`Ready: Unknown\` with the reason \`Pending\`, so tools that wait for status do not treat it as finished.
`;

const eventsHeader = `<!-- Generated from the comments in src/api/reasons.ts by \`npm run generate\`. Do not edit. -->

# Events

Events are for people. They expire with the event retention of the cluster, and similar events may be merged. Status is the record.

A Warning asks a person to act. A Normal event reports what the operator did. The note of a \`Warning\` is the message of the condition.
The operator writes at most ten events per second while certificates wait to be issued, and Warnings first. At most 1,000 events wait; further
ones are dropped, and the log says so.
`;

/** The text of docs/reference/conditions.md. */
export function conditionsFile({ reasons, roots: [caValidation, issuer] }: ReasonSources): string {
  const aboutRoots = [...unionMembers(issuer, 'RootProblem'), ...unionMembers(caValidation, 'CaProblem')];
  const of = (name: string): readonly Documented[] => unionMembers(reasons, name);
  return [
    conditionsHeader,
    '## MtlsCertificate\n',
    '### Ready\n',
    'True when every Secret holds a valid certificate for the spec.\n',
    table(of('CertificateReason')),
    '### Issuing\n',
    'True while the existing certificates work and the next ones cannot be issued. Its reason is then a reason of `Ready`. The condition\nis absent until this happens for the first time.\n',
    'While `Issuing` is False:\n',
    table(of('IssuingReason')),
    '## MtlsAuthority\n',
    '### Ready of an authority\n',
    'True when the root may sign and the authority issues certificates.\n',
    table(of('AuthorityReason')),
    'These reasons are about the certificates and the key in the root Secret. The chain is the signing certificate, the root, and every\ncertificate between them.\n',
    table(aboutRoots),
    '### Rotating\n',
    'True while the root is rotated; the message says what the rotation waits for. The condition is absent until the first rotation.\n',
    table(of('RotatingReason')),
    'A reason that begins with `Next` and continues with a reason of `Ready`, such as `NextRootKeyMismatch`, says the same about `next.crt`\nand `next.key`.\n',
    '### TrustPublished\n',
    'True when every object of `spec.trustBundle` holds the current roots. The condition is absent until `spec.trustBundle` is set.\n',
    table(of('TrustReason')),
    '### AdditionalRootsAccepted\n',
    'True when every certificate of `spec.trustBundle.additional` is in the bundle. The condition is absent until that field is set.\n',
    table(of('AdditionalRootsReason')),
    '### PodCertificatesServed\n',
    'True when the operator answers the PodCertificateRequests for the authority. The condition is absent until `spec.podCertificates` is set.\n',
    table(of('PodCertificatesReason')),
    '### IssuerKeyMissing\n',
    'True while the operator lacks the key of a CA whose certificates are in use.\n',
    table(of('IssuerKeyReason')),
    '### CrlNearlyFull\n',
    'True while at least 80 % of the entries of the CRL are in use.\n',
    table(of('CrlNearlyFullReason')),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n');
}

/** The text of docs/reference/events.md. */
export function eventsFile(reasons: string): string {
  return [
    eventsHeader,
    '## Events of an MtlsCertificate\n',
    'Normal:\n',
    table(unionMembers(reasons, 'CertificateEvent')),
    'Every reason of the condition `Ready` except `Issued`, `Pending` and `Deleting` is also the reason of a Warning. The operator\nsends the Warning when the condition changes to that reason, and when another attempt fails: see [conditions](conditions.md#ready). The\nevent `AuthorityNotReady` is Normal while the authority only waits for the bundles of its own rotation.\n',
    '## Events of an MtlsAuthority\n',
    'Events with an action are Warnings, the others are Normal.\n',
    table(unionMembers(reasons, 'AuthorityEvent')),
    'The operator also sends a Warning when a condition changes to a reason that asks a person to act. The event has the same reason: see\n[conditions](conditions.md#mtlsauthority).\n',
    '## Events of a pod\n',
    'These are Warnings about the certificate that a volume of the pod requests. The note begins with one of the reasons below. kubelet sends\nevents of its own.\n',
    table(unionMembers(reasons, 'PodEvent')),
    'A denial is final for the pod, because kubelet does not ask again: correct what the note names, and create the pod again. A request that\nwaits is retried. For a reason without one of these words, the request of a new pod is denied, and the request of a pod that runs waits.\n',
    table(unionMembers(reasons, 'PodCertificateReason')),
    '## Events of an object with the annotation `inject-ca-from`\n',
    'These are Warnings: see [inject roots](../how-to/inject-roots.md).\n',
    table(unionMembers(reasons, 'InjectionEvent')),
  ]
    .join('\n')
    .concat('\n');
}

/** A table of the names. It has a column for the action if at least one of them has an `@action`. */
export function table(entries: readonly Documented[], title = 'Reason'): string {
  const hasActions = entries.some(({ action }) => action !== '');
  const cells = ({ name, meaning, action }: Documented): string[] => [
    `\`${name}\``,
    ...[meaning, ...(hasActions ? [action] : [])].map((text) => text.replaceAll('|', '\\|')),
  ];
  const head = [title, 'Meaning', ...(hasActions ? ['What to do'] : [])];
  return [head, head.map(() => '---'), ...entries.map(cells)]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n')
    .concat('\n');
}
