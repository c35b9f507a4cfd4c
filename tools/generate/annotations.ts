import { constantMembers, type Documented } from './doc-comments.ts';
import { table } from './reasons.ts';

const header = `<!-- Generated from the comments in src/api/constants.ts by \`npm run generate\`. Do not edit. -->

# Annotations and labels

The value of a request (\`rotate\`, \`revoke\`, \`retry\`, \`rotate-root\`) is any text of at most 1,024 characters. The operator acts when
the value changes. Setting the handled value again does nothing, so an annotation may stay in Git. Going back to an earlier value is a new
request: a Git revert of \`revoke\` revokes again. Status repeats the value once the operator has carried the request out.
`;

/** The text of docs/reference/annotations.md, from src/api/constants.ts. */
export function annotationsFile(constants: string, group: string): string {
  const annotations = constantMembers(constants, 'annotations', group);
  const labels = constantMembers(constants, 'labels', group);
  const section = (entries: readonly Documented[], title: string, kinds: readonly string[], text = ''): string[] => [
    `## ${title}\n`,
    ...(text === '' ? [] : [`${text}\n`]),
    table(
      kinds.flatMap((kind) => on(kind, entries)),
      title.startsWith('Labels') ? 'Label' : 'Annotation',
    ),
  ];
  return [
    header,
    ...section(annotations, 'Annotations that you set on an MtlsCertificate', ['MtlsCertificate']),
    ...section(annotations, 'Annotations that you set on an MtlsAuthority', ['MtlsAuthority']),
    ...section(
      annotations,
      'Annotations that you set on a webhook configuration, APIService or CustomResourceDefinition',
      ['object with roots'],
      'See [inject the roots](../how-to/inject-roots.md).',
    ),
    ...section(
      annotations,
      'Annotations of a Secret',
      ['Secret'],
      'The operator writes them. Set `secret-name` only to [hand a Secret over](../how-to/hand-over-a-secret.md).',
    ),
    ...section(annotations, 'Annotations of a root Secret', ['root Secret'], 'The operator writes them.'),
    '## Keys of `userAnnotations`\n',
    'They belong to the podCertificate source of a projected volume. The operator denies a request with another key. A list has at most 100\nentries, a list of Services at most 16.\n',
    table(constantMembers(constants, 'podAnnotations', group), 'Key'),
    ...section(
      annotations,
      'Annotations of a pod template',
      ['pod template'],
      'The operator writes it with `spec.rotation.restartWorkloads`, together with `kubectl.kubernetes.io/restartedAt`.',
    ),
    ...section(
      labels,
      'Labels',
      ['object that the operator writes', 'Secret', 'ConfigMap or ClusterTrustBundle'],
      'The operator writes them, and watches objects by them.',
    ),
    'An administrator sets `mtls-operator.io/metrics: allow` on a namespace, and the NetworkPolicy then admits its pods to the\nmetrics: see [monitoring](../operations/monitoring.md).',
  ]
    .join('\n')
    .concat('\n');
}

/** The entries for a kind: a comment says of each kind in turn what the name means on it ("On a Secret: ..."). */
function on(kind: string, entries: readonly Documented[]): Documented[] {
  return entries.flatMap((entry) => {
    const parts = entry.meaning.split(/(?:^| )On (?:an?|every) (?=[A-Za-z ]+: )/).filter((part) => part !== '');
    return parts
      .filter((part) => part.startsWith(`${kind}: `))
      .map((part) => ({
        ...entry,
        meaning: capital(part.slice(kind.length + 2)),
      }));
  });
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
