import type { CaSecret, Conversion, Manifest, ObjectRef } from './conversion.ts';
import type { Remark } from './source-objects.ts';

/** An object as a report names it: `Certificate shop/payments`. */
export const objectName = ({ kind, namespace, name }: ObjectRef): string =>
  namespace === '' ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;

/** The command that copies the Secret of a CA. The key goes from the API server to the API server. */
export const copyCommand = ({ namespace, name, copy }: CaSecret, operatorNamespace: string): readonly string[] => [
  `kubectl -n ${namespace} get secret ${name} -o json |`,
  `jq '{apiVersion, kind, type: "kubernetes.io/tls",`,
  `metadata: {name: "${copy}", namespace: "${operatorNamespace}"},`,
  `data: .data | with_entries(select(.key |`,
  `IN("tls.crt", "tls.key", "ca.crt")))}' |`,
  `kubectl create -f -`,
];

/** One reason, and the objects that it applies to. */
interface Finding {
  readonly title: string;
  readonly objects: readonly string[];
}

function findings(list: ReadonlyArray<Remark & { readonly source: ObjectRef }>): Finding[] {
  const byTitle = Map.groupBy(list, ({ field, text }) => (field === '' ? text : `${field}: ${text}`));
  return [...byTitle].map(([title, group]) => {
    const objects = new Set(group.map(({ source }) => objectName(source)));
    // Most objects are Certificates, and many of them share a reason.
    const areCertificates = group.every(({ source }) => source.kind === 'Certificate');
    if (!areCertificates || objects.size === 1) return { title, objects: [...objects] };
    return {
      title: `${title} (${objects.size} Certificates)`,
      objects: [...objects].map((name) => name.replace('Certificate ', '')).sort(),
    };
  });
}

const refusals = ({ refused }: Conversion): Finding[] =>
  findings(refused.flatMap(({ source, problems }) => problems.map((problem) => ({ ...problem, source }))));

const remarks = ({ notes, replaced }: Conversion): Finding[] => [
  ...findings(notes),
  ...findings(replaced.map(({ source, text }) => ({ source, text, field: '' }))),
];

const count = (n: number, noun: string): string => {
  const plural = noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`;
  return `${n} ${n === 1 ? noun : plural}`;
};

/** What was converted, in one sentence. */
export const summary = ({ authorities, certificates, refused }: Conversion): string =>
  `Converted: ${count(authorities.length, 'MtlsAuthority')} and ${count(certificates.length, 'MtlsCertificate')}. ` +
  (refused.length === 0 ? 'Everything has an equal.' : `Not converted: ${count(refused.length, 'object')}.`);

/** The report for a terminal of `width` columns. */
export function textReport(conversion: Conversion, operatorNamespace: string, width: number): string {
  const { authorities, certificates } = conversion;
  const lines = [...wrapped(summary(conversion), 0, width)];
  const section = (title: string, body: readonly string[]) => {
    if (body.length > 0) lines.push('', title, ...body);
  };
  const listed = (list: readonly Finding[]) =>
    list.flatMap(({ title, objects }) => [...wrapped(title, 2, width), ...columns(objects, width)]);
  section('NOT CONVERTED, and not written', listed(refusals(conversion)));
  section(
    'AUTHORITIES (copy the Secret of the CA before you apply the manifest)',
    authorities.flatMap(({ source, manifest, secret, certificates: used }) => [
      ...wrapped(
        `MtlsAuthority ${manifest.metadata.name}, from ${objectName(source)}, ${usesOf(manifest, used)}`,
        2,
        width,
      ),
      ...copyCommand(secret, operatorNamespace).map((line) => `    ${line}`),
    ]),
  );
  const rows = sorted(certificates).map(({ source, role, manifest }) => [
    source.namespace,
    source.name,
    role,
    authorityOf(manifest.spec),
  ]);
  section('CERTIFICATES', rows.length === 0 ? [] : table([['NAMESPACE', 'NAME', 'ROLE', 'AUTHORITY'], ...rows]));
  section('REMARKS on what was converted', listed(remarks(conversion)));
  return `${lines.join('\n')}\n`;
}

const usesOf = ({ spec }: Manifest, certificates: number): string => {
  const { allow = [] } = (spec['issuance'] ?? {}) as { readonly allow?: readonly unknown[] };
  return `for ${count(certificates, 'certificate')}, with ${count(allow.length, 'grant')} in issuance.allow to review`;
};

const authorityOf = (spec: Readonly<Record<string, unknown>>): string =>
  (spec['authorityRef'] as { readonly name: string }).name;

const sorted = (certificates: Conversion['certificates']): Conversion['certificates'] =>
  [...certificates].sort((a, b) => (objectName(a.source) < objectName(b.source) ? -1 : 1));

function table(rows: ReadonlyArray<readonly string[]>): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows.map((row) => `  ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd());
}

function wrapped(text: string, indent: number, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > width) {
      lines.push(' '.repeat(indent) + line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, ' '.repeat(indent) + line];
}

/** Names in as many columns as fit. */
function columns(names: readonly string[], width: number): string[] {
  const cell = Math.max(...names.map(({ length }) => length)) + 2;
  const perLine = Math.max(1, Math.floor((width - 4) / cell));
  return Array.from({ length: Math.ceil(names.length / perLine) }, (_, i) => {
    const row = names.slice(i * perLine, (i + 1) * perLine);
    return `    ${row.map((name) => name.padEnd(cell)).join('')}`.trimEnd();
  });
}

/** The same report as Markdown. */
export function markdownReport(conversion: Conversion, operatorNamespace: string): string {
  const { authorities, certificates } = conversion;
  const cell = (text: string) => text.replaceAll('|', '\\|');
  const listed = (list: readonly Finding[]) =>
    list.flatMap(({ title, objects }) => [`- ${title}`, ...objects.map((name) => `  - ${name}`)]);
  const section = (title: string, body: readonly string[]) =>
    body.length === 0 ? [] : ['', `## ${title}`, '', ...body];
  const lines = [
    '# From cert-manager to mtls-operator',
    '',
    summary(conversion),
    ...section('Not converted', listed(refusals(conversion))),
    ...section(
      'Authorities',
      authorities.flatMap(({ source, manifest, secret, certificates: used }) => [
        `- MtlsAuthority \`${manifest.metadata.name}\`, from ${objectName(source)}, ${usesOf(manifest, used)}. Copy the Secret of the CA first:`,
        '',
        '  ```sh',
        ...copyCommand(secret, operatorNamespace).map((line) => `  ${line}`),
        '  ```',
      ]),
    ),
    ...section(
      'Certificates',
      certificates.length === 0
        ? []
        : [
            '| Namespace | Name | Role | Authority |',
            '| --- | --- | --- | --- |',
            ...sorted(certificates).map(
              ({ source, role, manifest }) =>
                `| ${cell(source.namespace)} | ${cell(source.name)} | ${role} | ${cell(authorityOf(manifest.spec))} |`,
            ),
          ],
    ),
    ...section('Remarks', listed(remarks(conversion))),
  ];
  return `${lines.join('\n')}\n`;
}
