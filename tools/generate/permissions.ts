import type { Condition, OperatorEntry, PermissionTable } from '../permissions/table.ts';

const header = `<!-- Generated from tools/permissions/permissions.yaml by \`npm run generate\`. Do not edit. -->

# Permissions

These are all permissions that the chart and the manifests of [deploy](../../deploy) grant, and why each is needed. A test compares
this page with the roles of the chart and with the audit log of an API server, and takes each permission away in turn to see the
operator fail without it: [permissions](../../test/integration/permissions.test.ts). [The security model](../operations/security.md)
says what an attacker can do with them.

## The operator

RBAC knows neither labels nor types, so some permissions are wider than the operator's use of them. The
[admission policy](../operations/security.md#a-stolen-token-of-the-operator) restricts its writes further.

| Resource | Where | With \`watchNamespaces\` | Verb | Why |
| --- | --- | --- | --- | --- |
`;

const users = `
## People

The chart adds these permissions to the roles of Kubernetes, unless \`rbac.aggregateToUserRoles\` is false.
\`mtls-operator-authorities-view\` is a role of its own: bind it to let people read MtlsAuthorities. With \`metrics.tls.enabled\` and
\`metrics.authorization.enabled\`, so is \`mtls-operator-metrics-reader\`: bind it to the ServiceAccount of Prometheus, so that it may get the
nonResourceURL \`/metrics\`.

| Resource | Roles | Verbs | Why |
| --- | --- | --- | --- |
`;

const places: Readonly<Record<string, string>> = {
  cluster: 'cluster',
  own: "the operator's namespace",
  watched: 'each watched namespace',
  default: '`default`',
};

/** The value of the chart that grants a permission. */
const conditions: Readonly<Record<Condition, string>> = {
  authorities: '`createDefaultAuthority` or `authorities`',
  injectCA: '`injectCA.enabled`',
  metricsAuthorization: '`metrics.tls.enabled` and `metrics.authorization.enabled`',
  metricsCertificate: '`metrics.tls.enabled` without `metrics.tls.secretName`',
  podCertificates: '`podCertificates.enabled`',
  podEvidence: '`podEvidence.enabled`',
  restartWorkloads: '`podEvidence.restartWorkloads`',
};

/** The text of docs/reference/permissions.md. */
export function permissionsFile(table: PermissionTable): string {
  const people = table.users.map(
    ({ resource, roles, verbs, why }) => `| ${code([resource])} | ${code(roles)} | ${code(verbs)} | ${why} |\n`,
  );
  return [header, ...table.operator.flatMap(operatorRows), users, ...people].join('');
}

function operatorRows(entry: OperatorEntry): readonly string[] {
  const { resource, names = [], scope, namespaced = [], verbs } = entry;
  const objects = names.map((name) => places[name] ?? `\`${name}\``);
  const what = `\`${resource}\`${names.length === 0 ? '' : ` (${objects.join(', ')})`}`;
  const where = `| ${what} | ${placesOf(scope)} | ${placesOf(namespaced)} |`;
  const only = entry.if === undefined ? '' : ` Only with ${conditions[entry.if]}.`;
  return Object.entries(verbs).map(
    ([verb, why], index) => `${index === 0 ? where : '| | | |'} \`${verb}\` | ${why}${only} |\n`,
  );
}

const placesOf = (words: readonly string[]): string =>
  words.length === 0 ? '—' : words.map((word) => places[word] ?? word).join(', ');

const code = (words: readonly string[]): string => words.map((word) => `\`${word}\``).join(', ');
