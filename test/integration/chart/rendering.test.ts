import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';

import type { Manifest, RenderOptions, Values } from '../../support/chart/helm.ts';
import { CHART, type Helm, openHelm } from '../../support/chart/helm.ts';
import type { Deployment } from '../../support/chart/pod.ts';
import { VALUE_SETS, valuesOf } from '../../support/chart/value-sets.ts';
import { inParallel } from '../../support/parallel.ts';

let helm: Helm;
let helm3: Helm;

before(async () => {
  [helm, helm3] = await Promise.all([openHelm('helm'), openHelm('helm3')]);
});

interface Rule {
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

interface MonitorSpec {
  readonly jobLabel: string;
  readonly endpoints?: readonly object[];
  readonly podMetricsEndpoints?: readonly object[];
}

/** The fields that the tests read, by kind. */
interface Kinds {
  readonly ConfigMap: { readonly data: Readonly<Record<string, string>> };
  readonly Deployment: Deployment;
  readonly MtlsAuthority: { readonly spec: object };
  readonly NetworkPolicy: { readonly spec: { readonly podSelector: object; readonly ingress: readonly object[] } };
  readonly PodDisruptionBudget: {
    readonly spec: {
      readonly minAvailable?: number;
      readonly maxUnavailable?: number;
      readonly selector: object;
    };
  };
  readonly PodMonitor: { readonly spec: MonitorSpec };
  readonly Service: { readonly spec: { readonly selector: object } };
  readonly ServiceAccount: object;
  readonly ServiceMonitor: { readonly spec: MonitorSpec };
}

/** The objects of a render. */
class Rendered {
  readonly manifests: readonly Manifest[];

  constructor(manifests: readonly Manifest[]) {
    this.manifests = manifests;
  }

  all(kind: string): readonly Manifest[] {
    return this.manifests.filter((manifest) => manifest.kind === kind);
  }

  names(kind: string): readonly string[] {
    return this.all(kind).map(({ metadata }) => metadata.name);
  }

  /** The only object of a kind. */
  one<Kind extends keyof Kinds>(kind: Kind): Manifest & Kinds[Kind] {
    const found = this.all(kind);
    assert.equal(found.length, 1, `${kind}: ${found.map(({ metadata }) => metadata.name).join(', ')}`);
    return found[0] as Manifest & Kinds[Kind];
  }

  get deployment(): Manifest & Deployment {
    return this.one('Deployment');
  }

  get pod(): Record<string, unknown> & Deployment['spec']['template']['spec'] {
    return this.deployment.spec.template.spec;
  }

  get container(): Record<string, unknown> & { readonly args: readonly string[] } {
    return this.pod.containers[0] as never;
  }
}

/** What the chart renders from values, as a sentence and what it means. */
interface Case {
  readonly title: string;
  readonly values?: Values;
  readonly options?: RenderOptions;
  readonly expect: (rendered: Rendered) => void;
}

const SERVED = ['mtls-operator.io/v1alpha1/MtlsAuthority'];
const OWN_ROOT = { name: 'own', spec: { secretName: 'own-root', root: {} } };
const digest = `sha256:${'0'.repeat(64)}`;

const PROMETHEUS_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';
const keySecret = { name: 'prometheus-client-tls', key: 'tls.key' };
const secretKey = { secret: { name: 'prometheus-client-tls', key: 'tls.crt' } };
const ownToken = { credentials: { name: 'token', key: 'token' } };

/** The file with a token, and the authorization, of the endpoint of the ServiceMonitor. */
function credentialsIn(rendered: Rendered): readonly unknown[] {
  const endpoint = rendered.one('ServiceMonitor').spec.endpoints?.[0] as Record<string, unknown> | undefined;
  return [endpoint?.['bearerTokenFile'], endpoint?.['authorization']];
}

const CASES: Readonly<Record<string, readonly Case[]>> = {
  image: [
    {
      title: 'has the tag of the appVersion',
      expect: ({ container }) => assert.equal(container['image'], 'mtls-operator:0.1.0'),
    },
    {
      title: 'has the digest, and the tag only if it is given',
      values: { image: { repository: 'registry.example.com:5000/a/b', digest } },
      expect: ({ container }) => assert.equal(container['image'], `registry.example.com:5000/a/b@${digest}`),
    },
    {
      title: 'has tag and digest',
      values: { image: { tag: '0.1.0', digest } },
      expect: ({ container }) => assert.equal(container['image'], `mtls-operator:0.1.0@${digest}`),
    },
  ],
  names: [
    {
      title: 'are those of the release and the chart',
      options: { release: 'trust' },
      expect: ({ deployment }) => assert.equal(deployment.metadata.name, 'trust-mtls-operator'),
    },
    {
      title: 'have no dots, which a Service may not have in its name',
      options: { release: 'trust.v1' },
      expect: (rendered) => assert.equal(rendered.one('Service').metadata.name, 'trust-v1-mtls-operator'),
    },
    {
      title: 'of releases and namespaces that YAML could read as numbers or booleans are texts',
      options: { release: '42', namespace: 'no' },
      values: { watchNamespaces: ['007', '12'] },
      expect({ manifests }) {
        const namespaces = manifests.flatMap(({ metadata }) => metadata.namespace ?? []);
        assert.deepEqual(new Set(namespaces), new Set(['no', '007', '12', 'default']));
        for (const { kind, metadata } of manifests)
          assert.equal(metadata.labels?.['app.kubernetes.io/instance'], '42', kind);
        for (const binding of manifests.filter(({ kind }) => kind.endsWith('Binding') && kind.includes('Role')))
          assert.equal((binding as never as { subjects: { namespace: string }[] }).subjects[0]?.namespace, 'no');
      },
    },
    {
      title: 'of cluster-scoped objects tell the releases apart',
      options: { release: 'trust' },
      expect({ manifests }) {
        const clusterScoped = manifests.filter(({ metadata }) => metadata.namespace === undefined);
        const own = clusterScoped.filter(({ kind }) => kind !== 'CustomResourceDefinition');
        assert.ok(own.length > 5);
        for (const { kind, metadata } of own) assert.match(metadata.name, /^trust-mtls-operator/, kind);
      },
    },
    {
      title: 'of up to 53 characters, the longest name of a release, stay valid with every suffix',
      options: { release: 'r'.repeat(53), apis: SERVED },
      values: { metrics: { tls: { enabled: true }, clients: ['a.example.com'] } },
      expect({ manifests }) {
        const long = manifests.filter(({ kind, metadata }) => !/Role|Policy/.test(kind) && metadata.name.length > 63);
        assert.deepEqual(long, []);
      },
    },
    {
      title: 'of the ServiceAccount reach the bindings and the admission policies',
      options: { namespace: 'pki' },
      values: { serviceAccount: { name: 'issuer' } },
      expect(rendered) {
        assert.equal(rendered.one('ServiceAccount').metadata.name, 'issuer');
        assert.equal(rendered.pod.serviceAccountName, 'issuer');
        const bindings = [...rendered.all('ClusterRoleBinding'), ...rendered.all('RoleBinding')];
        for (const binding of bindings)
          assert.deepEqual((binding as unknown as { subjects: unknown }).subjects, [
            { kind: 'ServiceAccount', name: 'issuer', namespace: 'pki' },
          ]);
        const policies = JSON.stringify(rendered.all('ValidatingAdmissionPolicy'));
        assert.match(policies, /system:serviceaccount:pki:issuer/);
        assert.doesNotMatch(policies, /system:serviceaccount:mtls-operator/);
      },
    },
    {
      title: 'of a ServiceAccount that exists are used, and none is created',
      values: { serviceAccount: { create: false, name: 'existing' } },
      expect(rendered) {
        assert.deepEqual(rendered.names('ServiceAccount'), []);
        assert.equal(rendered.pod.serviceAccountName, 'existing');
      },
    },
  ],
  'the selector of the Deployment, which Kubernetes never changes,': [
    {
      title: 'is the same with every label and with another version of the chart',
      values: { commonLabels: { a: 'b' }, podLabels: { c: 'd' } },
      expect({ deployment }) {
        const { selector } = deployment.spec as never as { selector: { matchLabels: object } };
        assert.deepEqual(selector.matchLabels, {
          'app.kubernetes.io/name': 'mtls-operator',
          'app.kubernetes.io/instance': 'mtls-operator',
        });
      },
    },
    {
      title: 'matches the pods and is that of the Service, the PodDisruptionBudget and the NetworkPolicy',
      options: { release: 'trust' },
      expect(rendered) {
        const { selector } = rendered.deployment.spec as never as { selector: { matchLabels: Record<string, string> } };
        const labels = (rendered.deployment.spec.template as never as Manifest).metadata.labels ?? {};
        for (const [label, value] of Object.entries(selector.matchLabels)) assert.equal(labels[label], value);
        assert.deepEqual(rendered.one('Service').spec.selector, selector.matchLabels);
        assert.deepEqual(rendered.one('PodDisruptionBudget').spec.selector, selector);
        assert.deepEqual(rendered.one('NetworkPolicy').spec.podSelector, selector);
      },
    },
  ],
  'the admission policies': [
    {
      title:
        'have every field that the API server would add to matchConstraints, so that another field manager has no conflict',
      values: {
        injectCA: { enabled: true },
        podCertificates: { enabled: true },
        podEvidence: { enabled: true, restartWorkloads: true },
      },
      expect(rendered) {
        const policies = rendered.all('ValidatingAdmissionPolicy');
        assert.equal(policies.length, 6);
        for (const policy of policies) {
          const { spec } = policy as never as { spec: { matchConstraints: Record<string, unknown> } };
          const { resourceRules, ...defaults } = spec.matchConstraints;
          assert.deepEqual(defaults, { matchPolicy: 'Equivalent', namespaceSelector: {}, objectSelector: {} });
          for (const { scope } of resourceRules as readonly { readonly scope: string }[]) assert.equal(scope, '*');
        }
      },
    },
  ],
  'the labels': [
    {
      title: 'of a single object override those of every object',
      values: {
        commonLabels: { team: 'pki' },
        metrics: {
          serviceMonitor: { enabled: true, labels: { team: 'monitoring' } },
          prometheusRule: { enabled: true, labels: { team: 'monitoring' } },
          dashboard: { enabled: true, labels: { team: 'monitoring' } },
        },
      },
      expect(rendered) {
        assert.equal(rendered.deployment.metadata.labels?.['team'], 'pki');
        for (const kind of ['ServiceMonitor', 'PrometheusRule', 'ConfigMap'])
          assert.deepEqual(
            [kind, ...rendered.all(kind).map(({ metadata }) => metadata.labels?.['team'])],
            [kind, 'monitoring'],
          );
      },
    },
  ],
  'the pods': [
    {
      title:
        'have every field that the API server would add to an atomic one, so that another field manager has no conflict',
      expect({ container }) {
        const env = container['env'] as { readonly valueFrom: object }[];
        assert.deepEqual(
          env.map(({ valueFrom }) => valueFrom),
          ['metadata.name', 'metadata.namespace'].map((fieldPath) => ({ fieldRef: { apiVersion: 'v1', fieldPath } })),
        );
      },
    },
    {
      title: 'meet the Pod Security Standard restricted, with a read-only root',
      expect({ pod, container }) {
        assert.deepEqual(pod['securityContext'], {
          runAsNonRoot: true,
          runAsUser: 65532,
          runAsGroup: 65532,
          seccompProfile: { type: 'RuntimeDefault' },
        });
        assert.deepEqual(container['securityContext'], {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        assert.equal(pod['hostNetwork'], undefined);
      },
    },
    {
      title: 'of each spread constraint are counted, unless it has a selector of its own',
      values: {
        topologySpreadConstraints: [
          { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' },
          {
            maxSkew: 2,
            topologyKey: 'host',
            whenUnsatisfiable: 'ScheduleAnyway',
            labelSelector: { matchLabels: { a: 'b' } },
          },
        ],
      },
      expect({ pod }) {
        const constraints = pod['topologySpreadConstraints'] as { labelSelector: { matchLabels: object } }[];
        assert.deepEqual(
          constraints.map(({ labelSelector }) => labelSelector.matchLabels),
          [{ 'app.kubernetes.io/name': 'mtls-operator', 'app.kubernetes.io/instance': 'mtls-operator' }, { a: 'b' }],
        );
      },
    },
    {
      title: 'have no CPU limit, because a throttled leader loses its Lease',
      expect: ({ container }) =>
        assert.deepEqual((container['resources'] as { limits: object }).limits, { memory: '512Mi' }),
    },
  ],
  'the arguments': [
    {
      title: 'are few by default',
      expect: ({ container }) =>
        assert.deepEqual(container.args, ['--create-default-authority', '--listen-address=:8080']),
    },
    {
      title: 'have every setting that differs from its default',
      values: {
        createDefaultAuthority: false,
        workers: 8,
        log: { level: 'debug', format: 'text' },
        leaderElection: { leaseDuration: '30s', renewDeadline: '20s', retryPeriod: '3s' },
        metrics: { port: 9090, perCertificate: false },
        extraArgs: ['--context=a b'],
      },
      expect: ({ container }) =>
        assert.deepEqual(container.args, [
          '--listen-address=:9090',
          '--no-metrics-per-certificate',
          '--log-level=debug',
          '--log-format=text',
          '--workers=8',
          '--lease-duration=30s',
          '--renew-deadline=20s',
          '--retry-period=3s',
          '--context=a b',
        ]),
    },
    {
      title: 'serve the metrics over TLS to each client',
      values: { metrics: { tls: { enabled: true }, clients: ['spiffe://a/b', 'c.example.com', 'd: #e'] } },
      expect: ({ container }) =>
        assert.deepEqual(container.args.slice(2), [
          '--metrics-listen-address=:8443',
          '--metrics-tls-directory=/etc/mtls-operator/metrics',
          '--metrics-client=spiffe://a/b',
          '--metrics-client=c.example.com',
          '--metrics-client=d: #e',
          '--metrics-authorization',
          '--metrics-service=mtls-operator',
        ]),
    },
    {
      title: 'serve the metrics over TLS with one value, to the holders of tokens',
      values: { metrics: { tls: { enabled: true, authority: 'internal' } } },
      expect: ({ container }) =>
        assert.deepEqual(container.args.slice(4), [
          '--metrics-authorization',
          '--metrics-service=mtls-operator',
          '--metrics-authority=internal',
        ]),
    },
    {
      title: 'request no certificate for the metrics if you bring one',
      values: {
        metrics: {
          tls: { enabled: true, secretName: 'own' },
          authorization: { enabled: false },
          clients: ['a.example'],
        },
      },
      expect: ({ container }) => assert.deepEqual(container.args.slice(4), ['--metrics-client=a.example']),
    },
  ],
  'the PodDisruptionBudget': [
    {
      title: 'keeps one of several replicas by default',
      expect: (rendered) => assert.equal(rendered.one('PodDisruptionBudget').spec.minAvailable, 1),
    },
    {
      title: 'is not there for one replica, which could then never be moved',
      values: { replicaCount: 1 },
      expect: (rendered) => assert.deepEqual(rendered.names('PodDisruptionBudget'), []),
    },
    {
      title: 'has maxUnavailable instead of minAvailable if it is set, even to 0',
      values: { podDisruptionBudget: { maxUnavailable: 0 } },
      expect(rendered) {
        const { minAvailable, maxUnavailable } = rendered.one('PodDisruptionBudget').spec;
        assert.deepEqual({ minAvailable, maxUnavailable }, { minAvailable: undefined, maxUnavailable: 0 });
      },
    },
  ],
  'the NetworkPolicy': [
    {
      title: 'admits the labelled namespaces to the metrics',
      expect: (rendered) =>
        assert.deepEqual(rendered.one('NetworkPolicy').spec.ingress, [
          {
            from: [{ namespaceSelector: { matchLabels: { 'mtls-operator.io/metrics': 'allow' } } }],
            ports: [{ port: 8080, protocol: 'TCP' }],
          },
        ]),
    },
    {
      title: 'admits no client with an empty list, which in a rule would mean everyone',
      values: { networkPolicy: { metricsFrom: [] } },
      expect: (rendered) => assert.deepEqual(rendered.one('NetworkPolicy').spec.ingress, []),
    },
    {
      title: 'admits everyone only to the port of the probes when the metrics have their own',
      values: { networkPolicy: { metricsFrom: [] }, metrics: { tls: { enabled: true }, clients: ['a.example.com'] } },
      expect: (rendered) =>
        assert.deepEqual(rendered.one('NetworkPolicy').spec.ingress, [{ ports: [{ port: 8080, protocol: 'TCP' }] }]),
    },
  ],
  'the CRDs': [
    {
      title: 'are kept when the release is uninstalled',
      expect(rendered) {
        const crds = rendered.all('CustomResourceDefinition');
        assert.equal(crds.length, 2);
        for (const { metadata } of crds) assert.equal(metadata.annotations?.['helm.sh/resource-policy'], 'keep');
      },
    },
    {
      title: 'are deleted with the release if crds.keep is false',
      values: { crds: { keep: false } },
      expect(rendered) {
        for (const { metadata } of rendered.all('CustomResourceDefinition'))
          assert.equal(metadata.annotations, undefined);
      },
    },
    {
      title: 'are left out if crds.enabled is false',
      values: { crds: { enabled: false } },
      expect: (rendered) => assert.deepEqual(rendered.names('CustomResourceDefinition'), []),
    },
  ],
  'the authorities': [
    {
      title: 'are a file for the operator while the cluster does not serve them',
      values: { authorities: [OWN_ROOT] },
      expect(rendered) {
        assert.deepEqual(rendered.names('MtlsAuthority'), []);
        const { data } = rendered.one('ConfigMap');
        const [authority] = JSON.parse(data['authorities.json'] ?? '') as readonly [Manifest & { spec: object }];
        assert.deepEqual(authority.spec, OWN_ROOT.spec);
        assert.equal(authority.metadata.labels?.['app.kubernetes.io/managed-by'], 'Helm');
        assert.deepEqual(authority.metadata.annotations, {
          'helm.sh/resource-policy': 'keep',
          'meta.helm.sh/release-name': 'mtls-operator',
          'meta.helm.sh/release-namespace': 'mtls-operator',
        });
        assert.deepEqual(rendered.container.args.slice(-1), [
          '--authorities-file=/etc/mtls-operator/authorities/authorities.json',
        ]);
      },
    },
    {
      title: 'are objects of the release that are kept, once the cluster serves them',
      values: { authorities: [OWN_ROOT] },
      options: { apis: SERVED },
      expect(rendered) {
        const { metadata, spec } = rendered.one('MtlsAuthority');
        assert.deepEqual(spec, OWN_ROOT.spec);
        assert.deepEqual(metadata.annotations, { 'helm.sh/resource-policy': 'keep' });
        assert.deepEqual(rendered.names('ConfigMap'), []);
        assert.doesNotMatch(rendered.container.args.join(), /authorit/);
      },
    },
    {
      title: 'replace the authority that the operator creates by default',
      values: { authorities: [OWN_ROOT] },
      expect: ({ container }) => assert.ok(!container.args.includes('--create-default-authority')),
    },
    {
      title: 'are created by the operator only with the right to do so',
      values: { createDefaultAuthority: false },
      expect(rendered) {
        const roles = rendered.all('ClusterRole') as readonly (Manifest & { rules: readonly Rule[] })[];
        const rule = roles
          .find(({ metadata }) => metadata.name === 'mtls-operator')
          ?.rules.find(({ resources }) => resources.includes('mtlsauthorities'));
        assert.deepEqual(rule?.verbs, ['list', 'watch']);
      },
    },
  ],
  'watched namespaces': [
    {
      title: "get a Role each, like the operator's own, and no ClusterRole has a right to Secrets",
      values: { watchNamespaces: ['shop', 'billing'] },
      options: { namespace: 'pki' },
      expect(rendered) {
        assert.ok(rendered.container.args.includes('--watch-namespaces=shop,billing'));
        const roles = rendered.all('Role').filter((role) => hasRule(role, 'secrets'));
        assert.deepEqual(roles.map(({ metadata }) => metadata.namespace ?? '').toSorted(), ['billing', 'pki', 'shop']);
        const clusterWide = rendered.all('ClusterRole').filter((role) => hasRule(role, 'secrets', 'configmaps'));
        assert.deepEqual(clusterWide, []);
      },
    },
  ],
  'injected roots': [
    {
      title: 'get the flag, the rights to four kinds, and a policy',
      values: { injectCA: { enabled: true } },
      expect(rendered) {
        assert.ok(rendered.container.args.includes('--inject-ca'));
        const roles = rendered.all('ClusterRole').filter((role) => hasRule(role, 'customresourcedefinitions'));
        assert.deepEqual(
          roles.map(({ metadata }) => metadata.name),
          ['mtls-operator'],
        );
        assert.ok(rendered.names('ValidatingAdmissionPolicy').includes('mtls-operator-injection'));
      },
    },
    {
      title: 'are off without the value',
      expect(rendered) {
        assert.ok(!rendered.container.args.includes('--inject-ca'));
        assert.deepEqual(
          rendered.all('ClusterRole').filter((role) => hasRule(role, 'customresourcedefinitions')),
          [],
        );
        assert.ok(!rendered.names('ValidatingAdmissionPolicy').includes('mtls-operator-injection'));
      },
    },
  ],
  'pod certificates and pod evidence': [
    {
      title: 'get a flag each, and policies for the requests and for restarts',
      values: { podCertificates: { enabled: true }, podEvidence: { enabled: true, restartWorkloads: true } },
      expect(rendered) {
        const flags = ['--pod-certificates', '--pod-evidence', '--restart-workloads'];
        assert.deepEqual(rendered.container.args.slice(-3), flags);
        const policies = rendered.names('ValidatingAdmissionPolicy');
        assert.ok(policies.includes('mtls-operator-pod-certificates'), policies.join());
        assert.ok(policies.includes('mtls-operator-workloads'), policies.join());
      },
    },
    {
      title: 'give no right to patch workloads unless these are to be restarted',
      values: { podCertificates: { enabled: true }, podEvidence: { enabled: true } },
      expect(rendered) {
        const roles = [...rendered.all('ClusterRole'), ...rendered.all('Role')];
        assert.deepEqual(
          roles.filter((role) => hasRule(role, 'deployments', 'statefulsets', 'daemonsets')),
          [],
        );
        assert.ok(!rendered.names('ValidatingAdmissionPolicy').includes('mtls-operator-workloads'));
      },
    },
    {
      title: 'are off without the values',
      expect(rendered) {
        assert.doesNotMatch(rendered.container.args.join(), /pod-|workloads/);
        const roles = [...rendered.all('ClusterRole'), ...rendered.all('Role')];
        assert.deepEqual(
          roles.filter((role) => hasRule(role, 'pods', 'podcertificaterequests')),
          [],
        );
        assert.doesNotMatch(rendered.names('ValidatingAdmissionPolicy').join(), /pod-certificates|workloads/);
      },
    },
  ],
  'what is off': [
    {
      title: 'leaves no object behind',
      values: {
        replicaCount: 1,
        rbac: { create: false },
        serviceAccount: { create: false, name: 'existing' },
        crds: { enabled: false },
        admissionPolicy: { enabled: false },
        networkPolicy: { enabled: false },
      },
      expect: ({ manifests }) =>
        assert.deepEqual(manifests.map(({ kind }) => kind).toSorted(), ['Deployment', 'Service']),
    },
    {
      title: 'does not add the roles of users to view, edit and admin',
      values: { rbac: { aggregateToUserRoles: false } },
      expect(rendered) {
        assert.ok(rendered.names('ClusterRole').includes('mtls-operator-edit'));
        assert.doesNotMatch(JSON.stringify(rendered.all('ClusterRole')), /aggregate-to/);
      },
    },
  ],
  'the monitors': [
    {
      title: 'give the series the job that the alerts select, and keep their label namespace',
      values: { metrics: { serviceMonitor: { enabled: true } } },
      expect(rendered) {
        const { spec } = rendered.one('ServiceMonitor');
        assert.equal(spec.jobLabel, 'app.kubernetes.io/name');
        assert.equal(rendered.one('Service').metadata.labels?.['app.kubernetes.io/name'], 'mtls-operator');
        assert.deepEqual(spec.endpoints, [{ port: 'http', path: '/metrics', honorLabels: true }]);
      },
    },
    {
      title: 'read the metrics over TLS from the certificate of the operator',
      options: { namespace: 'pki' },
      values: {
        metrics: { tls: { enabled: true }, clients: ['a.example.com'], podMonitor: { enabled: true, interval: '1m' } },
      },
      expect(rendered) {
        const [endpoint] = rendered.one('PodMonitor').spec.podMetricsEndpoints ?? [];
        assert.deepEqual(endpoint, {
          port: 'metrics',
          path: '/metrics',
          honorLabels: true,
          interval: '1m',
          scheme: 'https',
          tlsConfig: {
            ca: { secret: { name: 'mtls-operator-metrics-server-tls', key: 'ca.crt' } },
            serverName: 'mtls-operator.pki.svc',
          },
        });
      },
    },
    {
      title: 'send the token of Prometheus over TLS',
      values: { metrics: { tls: { enabled: true }, serviceMonitor: { enabled: true } } },
      expect: (rendered) => assert.deepEqual(credentialsIn(rendered), [PROMETHEUS_TOKEN, undefined]),
    },
    {
      title: 'send no token of Prometheus if it presents a certificate',
      values: {
        metrics: {
          tls: { enabled: true },
          serviceMonitor: { enabled: true, tlsConfig: { cert: secretKey, keySecret } },
        },
      },
      expect: (rendered) => assert.deepEqual(credentialsIn(rendered), [undefined, undefined]),
    },
    {
      title: 'send a token of your own',
      values: { metrics: { tls: { enabled: true }, serviceMonitor: { enabled: true, authorization: ownToken } } },
      expect: (rendered) => assert.deepEqual(credentialsIn(rendered), [undefined, ownToken]),
    },
  ],
  'further objects': [
    {
      title: 'are manifests or templates',
      values: {
        extraObjects: [
          { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', labels: { brace: '{{ .Release.Name }}' } } },
          'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: "{{ .Release.Namespace }}-b" }',
        ],
      },
      expect: (rendered) => assert.deepEqual(rendered.names('ConfigMap'), ['a', 'mtls-operator-b']),
    },
  ],
};

const hasRule = (role: Manifest, ...resources: readonly string[]): boolean =>
  (role as Manifest & { rules: readonly Rule[] }).rules.some((rule) =>
    resources.some((resource) => rule.resources.includes(resource)),
  );

describe('the chart', { concurrency: 2 }, () => {
  for (const [subject, cases] of Object.entries(CASES)) {
    for (const { title, values, options, expect } of cases) {
      test(`renders ${subject}: ${title}`, async () => expect(new Rendered(await helm.render(values, options))));
    }
  }

  test('renders the defaults for keys that the stored values of an earlier version lack', async () => {
    const rule = { enabled: true };
    const later = ['alertLabels', 'rules', 'selector', 'runbookBaseUrl', 'rootExpiryDays'];
    const stored = {
      ...without('authorities', 'watchNamespaces', 'injectCA', 'podCertificates', 'podEvidence'),
      log: without('format'),
      metrics: { ...without('perCertificate', 'authorization'), prometheusRule: { ...rule, ...without(...later) } },
    };
    assert.deepEqual(await helm.render(stored), await helm.render({ metrics: { prometheusRule: rule } }));
  });

  test('renders the same objects with Helm 3, from every set of values', async () => {
    for (const set of VALUE_SETS) {
      const [lines, lines3] = await Promise.all(
        [helm, helm3].map((each) => linesOf(each.renderText(valuesOf(set), set))),
      );
      const differences = lines?.filter((line, index) => line !== lines3?.[index]);
      assert.deepEqual(differences?.slice(0, 3), [], set.name);
      assert.equal(lines?.length, lines3?.length);
    }
  });

  for (const version of ['4', '3'] as const) {
    test(`passes helm lint --strict of Helm ${version} with every set of values`, async () => {
      const { attempt } = version === '4' ? helm : helm3;
      await inParallel(
        VALUE_SETS,
        async (set) => {
          const { code, stdout, stderr } = await attempt(['lint', '--strict', CHART], valuesOf(set));
          assert.equal(code, 0, `${set.name}: ${stdout}${stderr}`);
        },
        2,
      );
    });
  }
});

describe('the notes of the chart', () => {
  const notes = (values: Values): Promise<string> =>
    helm.run(['install', 'mtls-operator', CHART, '--dry-run=client'], values);

  test('warn of missing CRDs', async () => {
    assert.match(await notes({ crds: { enabled: false } }), /no CRDs .* type: kubectl apply --server-side -k crds\n/);
    assert.doesNotMatch(await notes({}), /WARNING/);
  });

  test('warn of pod certificates in a cluster whose API server does not serve their requests', async () => {
    const warning = /WARNING: podCertificates.enabled is true, and this cluster does not serve/;
    assert.match(await notes({ podCertificates: { enabled: true } }), warning);
  });

  test('warn of an installation without a replica', async () => {
    assert.match(await notes({ replicaCount: 0 }), /WARNING: replicaCount is 0, so no operator runs/);
  });
});

/** Values without these keys: null removes the default of the chart. */
const without = (...keys: readonly string[]): object => Object.fromEntries(keys.map((key) => [key, null]));

/** The lines with content: Helm 3 separates documents by an empty line. */
const linesOf = async (text: Promise<string>): Promise<readonly string[]> =>
  (await text).split('\n').filter((line) => line.trim() !== '');

/** Wrong values, by a sentence, with the message. */
const REFUSED: Readonly<Record<string, readonly [values: object, message: string]>> = {
  'a value with a wrong name': [{ replicas: 3 }, "at '': additional properties 'replicas' not allowed"],
  'a wrong name within a value': [
    { image: { version: '1' } },
    "at '/image': additional properties 'version' not allowed",
  ],
  'a wrong name at depth': [
    { metrics: { serviceMonitor: { enable: true } } },
    "at '/metrics/serviceMonitor': additional properties 'enable' not allowed",
  ],
  'a wrong name in a list': [
    { tolerations: [{ key: 'a', efect: 'NoSchedule' }] },
    "at '/tolerations/0': additional properties 'efect' not allowed",
  ],
  'a wrong name in the spec of an authority': [
    { authorities: [{ name: 'a', spec: { secretName: 'a', root: { algorithm: 'RSA' } } }] },
    "at '/authorities/0/spec/root': additional properties 'algorithm' not allowed",
  ],
  'an authority without a Secret': [
    { authorities: [{ name: 'a', spec: {} }] },
    "at '/authorities/0/spec': missing property 'secretName'",
  ],
  'a text for a number': [{ replicaCount: 'two' }, "at '/replicaCount': got string, want integer"],
  'a duration without a unit': [
    { leaderElection: { leaseDuration: 15 } },
    "at '/leaderElection/leaseDuration': got number, want string",
  ],
  'a number out of its range': [{ workers: 0 }, "at '/workers': minimum: got 0, want 1"],
  'a port that does not exist': [{ metrics: { port: 65536 } }, "at '/metrics/port': maximum: got 65,536, want 65,535"],
  'an unknown level of the log': [
    { log: { level: 'trace' } },
    "at '/log/level': value must be one of 'error', 'warn', 'info', 'debug'",
  ],
  'a tag in the repository of the image': [
    { image: { repository: 'registry.example.com:5000/mtls-operator:0.1.0' } },
    "at '/image/repository': 'registry.example.com:5000/mtls-operator:0.1.0' does not match pattern",
  ],
  'a Lease with a fraction of a second': [
    { leaderElection: { leaseDuration: '15500ms' } },
    'leaderElection.leaseDuration: 15500ms is not a number of whole seconds from 1s to 24h',
  ],
  'a renewDeadline that is not shorter than the Lease': [
    { leaderElection: { leaseDuration: '10s' } },
    'leaderElection.renewDeadline: 10s is not shorter than leaderElection.leaseDuration, which is 10s',
  ],
  'a retryPeriod that leaves no time for a second attempt': [
    { leaderElection: { retryPeriod: '8334ms' } },
    'leaderElection.retryPeriod: 8334ms is not shorter than leaderElection.renewDeadline divided by 1.2',
  ],
  'one port for both servers': [
    { metrics: { tls: { enabled: true, port: 8080 } } },
    'metrics.tls.port: 8080 is metrics.port, which serves /healthz and /readyz; set another port',
  ],
  'restarts without evidence': [
    { podEvidence: { restartWorkloads: true } },
    'podEvidence.restartWorkloads needs podEvidence.enabled; set both',
  ],
  'restarts without the policy that confines them': [
    { podEvidence: { enabled: true, restartWorkloads: true }, admissionPolicy: { enabled: false } },
    'podEvidence.restartWorkloads needs admissionPolicy.enabled',
  ],
  'two authorities of one name': [
    { authorities: [OWN_ROOT, OWN_ROOT] },
    'authorities: two have the name own; each needs a name of its own',
  ],
  'a label of one object that the chart sets': [
    { metrics: { dashboard: { enabled: true, labels: { 'app.kubernetes.io/instance': 'a' } } } },
    'metrics.dashboard.labels: the chart sets the label app.kubernetes.io/instance; remove it',
  ],
  'a digest that is none': [{ image: { digest: 'latest' } }, "at '/image/digest': 'latest' does not match pattern"],
  'a pull secret as a text': [{ imagePullSecrets: ['registry'] }, "at '/imagePullSecrets/0': got string, want object"],
  'an argument that is no flag': [
    { extraArgs: ['workers=3'] },
    "at '/extraArgs/0': 'workers=3' does not match pattern",
  ],
  'a name that Kubernetes refuses': [
    { fullnameOverride: 'Company_PKI' },
    "at '/fullnameOverride': 'Company_PKI' does not match pattern",
  ],
  'a limit of a PodDisruptionBudget that is no number': [
    { podDisruptionBudget: { minAvailable: 'half' } },
    "at '/podDisruptionBudget/minAvailable'",
  ],
  'both limits of a PodDisruptionBudget': [
    { podDisruptionBudget: { minAvailable: 1, maxUnavailable: 1 } },
    'podDisruptionBudget: set minAvailable or maxUnavailable, not both',
  ],
  'a namespace with a wrong name': [
    { watchNamespaces: ['Shop'] },
    "at '/watchNamespaces/0': 'Shop' does not match pattern",
  ],
  'both monitors': [
    { metrics: { serviceMonitor: { enabled: true }, podMonitor: { enabled: true } } },
    'metrics: enable serviceMonitor or podMonitor, not both',
  ],
  'metrics over TLS that no client could read': [
    { metrics: { tls: { enabled: true }, authorization: { enabled: false } } },
    'metrics.tls.enabled needs metrics.authorization.enabled or metrics.clients',
  ],
  'an existing ServiceAccount without its name': [
    { serviceAccount: { create: false } },
    'serviceAccount.name is required if serviceAccount.create is false',
  ],
  'an alert that does not exist': [
    { metrics: { prometheusRule: { enabled: true, rules: { MtlsNothing: { enabled: false } } } } },
    'metrics.prometheusRule.rules: there is no alert MtlsNothing',
  ],
};

describe('the chart refuses', { concurrency: 2 }, () => {
  for (const [title, [values, message]] of Object.entries(REFUSED)) {
    test(title, async () => {
      const refusal = await helm.refusal(values);
      assert.ok(refusal.includes(message), refusal);
    });
  }

  test('a wrong value with Helm 3 too', async () => {
    assert.match(await helm3.refusal({ replicas: 3 }), /at '': additional properties 'replicas' not allowed/);
  });
});
