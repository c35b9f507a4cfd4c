import { fileURLToPath } from 'node:url';

import { parseAllDocuments } from 'yaml';

import type { KubeObject } from '../../src/kube/index.ts';
import { pollUntil } from '../controlplane/poll.ts';
import { OPERATOR_NAMESPACE } from '../operator.ts';

/** Runs kubectl with this standard input and returns its standard output. Throws if it fails. */
export type KubectlWithInput = (args: readonly string[], input?: string) => Promise<string>;

/** The label of each object that the demo creates in a user's cluster. Its value is the step of the removal. */
export const DEMO_LABEL = 'mtls-operator-demo';

/** The namespace of deploy/examples/payments.yaml. */
export const SHOP = 'shop';

/** The authority of tools/demo/other-root.yaml. */
const OTHER = 'demo-other';

/** How long the API server may take to serve the CRDs. */
const SERVED_MS = 120_000;

const DEPLOY = fileURLToPath(new URL('../../deploy', import.meta.url));

/** Removes what the demo creates in a user's cluster, and nothing else. */
export interface Footprint {
  /** Creates the objects of deploy/ that the cluster does not have. Objects that exist stay as they are. */
  install(): Promise<void>;
  /** Creates the namespace of the examples. */
  createNamespace(): Promise<void>;
  /** Removes everything. The operator that the demo has started must have ended. */
  remove(): Promise<void>;
  /** The arguments of the kubectl commands that are still needed to remove everything. */
  remaining(): string[][];
}

interface Manifest extends KubeObject {
  readonly kind: string;
}

/** The fields of a CRD that lead to its resources. */
interface Definition extends Manifest {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly plural: string };
    readonly versions: readonly [{ readonly name: string }];
  };
}

const isDefinition = (manifest: Manifest): manifest is Definition => manifest.kind === 'CustomResourceDefinition';

/**
 * Reads which objects exist, so that the demo leaves them alone. Throws when the demo would change or replace objects of the
 * user. `operatorNamespace` is the namespace of the user's own operator; undefined when the cluster has none.
 */
export async function inspectFootprint(
  kubectl: KubectlWithInput,
  operatorNamespace: string | undefined,
): Promise<Footprint> {
  const isNew = operatorNamespace === undefined;
  const manifests = isNew ? await renderManifests(kubectl) : [];
  const existing = isNew ? await existingOf(kubectl, manifests) : new Set<string>();
  const missing = manifests.filter((each) => !existing.has(keyOf(each)));
  const namespace = operatorNamespace ?? OPERATOR_NAMESPACE;
  await refuseForeign(kubectl, isNew);

  const leftovers = [
    ['secret', `${OTHER}-root`],
    ...(isNew
      ? [
          ['secret', 'mtls-root'],
          ['lease', 'mtls-operator'],
        ]
      : []),
  ] as const;
  const ours: string[] = [];
  for (const [kind, name] of leftovers) {
    const found = await kubectl(['get', kind, name, `--namespace=${namespace}`, '--ignore-not-found', '--output=name']);
    if (found === '') ours.push(`${kind}/${name}`);
  }
  const authorities = isNew ? [OTHER, 'default'] : [OTHER];
  const definitions = missing.filter(isDefinition);
  const kinds = [...new Set(missing.map(({ kind, apiVersion = '' }) => resourceOf(kind, apiVersion)))];
  let todo: string[][] = [];
  const planRemoval = (): string[][] => [
    ['delete', 'namespaces', `--selector=${DEMO_LABEL}=example`, '--timeout=120s'],
    ['delete', 'mtlsauthorities', ...authorities, '--ignore-not-found', '--timeout=120s'],
    ['delete', ...ours, `--namespace=${namespace}`, '--ignore-not-found', '--timeout=120s'],
    ...authorities.map((name) => [
      'delete',
      'events',
      '--namespace=default',
      `--field-selector=involvedObject.kind=MtlsAuthority,involvedObject.name=${name}`,
    ]),
    ...(kinds.length === 0
      ? []
      : [['delete', kinds.join(','), '--all-namespaces', `--selector=${DEMO_LABEL}=install`, '--timeout=120s']]),
  ];

  return {
    async install() {
      todo = planRemoval();
      if (missing.length > 0) await kubectl(['create', '--filename=-'], listOf(missing.map(labelled('install'))));
    },
    async createNamespace() {
      todo = planRemoval();
      const shop = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: SHOP } } as Manifest;
      await kubectl(['create', '--filename=-'], listOf([labelled('example')(shop)]));
    },
    async remove() {
      if (todo.length > 0 && definitions.length > 0) await areServed(kubectl, definitions);
      for (let [command] = todo; command !== undefined; [command] = todo) {
        const needsCrd = command[1] === 'mtlsauthorities';
        if (!needsCrd || (await hasAuthorities(kubectl))) await kubectl(command);
        todo.shift();
      }
    },
    remaining: () => [...todo],
  };
}

async function renderManifests(kubectl: KubectlWithInput): Promise<Manifest[]> {
  const documents = parseAllDocuments(await kubectl(['kustomize', DEPLOY]));
  const manifests = documents.map((document) => document.toJS() as Manifest);
  // The Deployment is left out, because there is no image for it.
  return manifests.filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/component'] !== 'operator');
}

async function existingOf(kubectl: KubectlWithInput, manifests: readonly Manifest[]): Promise<Set<string>> {
  const found = await kubectl(['get', '--filename=-', '--ignore-not-found', '--output=json'], listOf(manifests));
  if (found.trim() === '') return new Set();
  const reply = JSON.parse(found) as Manifest & { items?: Manifest[] };
  return new Set((reply.items ?? [reply]).map(keyOf));
}

/** The demo's operator would change resources that exist. */
async function refuseForeign(kubectl: KubectlWithInput, isNew: boolean): Promise<void> {
  const namespace = await kubectl(['get', 'namespace', SHOP, '--ignore-not-found', '--output=json']);
  if (namespace !== '') {
    const isLeftOver = (JSON.parse(namespace) as KubeObject).metadata.labels?.[DEMO_LABEL] !== undefined;
    throw new Error(
      isLeftOver
        ? `a demo that was killed has left the namespace "${SHOP}" in the cluster, and perhaps more: "kubectl get all,crd,clusterrole --all-namespaces --selector=${DEMO_LABEL}" shows it; delete it and try again`
        : `the cluster already has a namespace "${SHOP}", which the demo needs: delete it or use another cluster`,
    );
  }
  if (!(await hasAuthorities(kubectl))) return;
  const types = isNew ? 'mtlsauthorities,mtlscertificates' : `mtlsauthorities/${OTHER}`;
  const scope = isNew ? ['--all-namespaces'] : ['--ignore-not-found'];
  const found = (await kubectl(['get', types, ...scope, '--output=name'])).trim();
  if (found === '') return;
  const [first] = found.split('\n');
  throw new Error(
    isNew
      ? `the cluster has no operator that is available, but it has resources that the demo's operator would change, for example ${first}: start your operator or use another cluster`
      : `the cluster already has the MtlsAuthority "${OTHER}", which the demo needs: delete it or use another cluster`,
  );
}

/**
 * Waits until the API server answers a list of the resources of each of these CRDs that exists. Before that, kubectl does not
 * know the kind. And the API server could delete the CRD late: its first list of the resources fails, and if its retry reads an
 * older version of the CRD, it tries again only after five minutes. The list here has no limit: the API server answers a list
 * with a limit before its cache is ready.
 */
async function areServed(kubectl: KubectlWithInput, definitions: readonly Definition[]): Promise<void> {
  const names = definitions.map(({ metadata }) => metadata.name);
  const found = await kubectl(['get', 'crd', ...names, '--ignore-not-found', '--output=name']);
  const existing = definitions.filter(({ metadata }) => found.includes(`/${metadata.name}\n`));
  const isListed = ({ spec }: Definition): Promise<boolean> =>
    kubectl(['get', '--raw', `/apis/${spec.group}/${spec.versions[0].name}/${spec.names.plural}`]).then(
      () => true,
      () => false,
    );
  await Promise.all(existing.map((definition) => pollUntil(() => isListed(definition), SERVED_MS)));
}

async function hasAuthorities(kubectl: KubectlWithInput): Promise<boolean> {
  return (
    (await kubectl(['get', 'crd', 'mtlsauthorities.mtls-operator.io', '--ignore-not-found', '--output=name'])) !== ''
  );
}

const labelled =
  (value: 'example' | 'install') =>
  (object: Manifest): Manifest => ({
    ...object,
    metadata: { ...object.metadata, labels: { ...object.metadata.labels, [DEMO_LABEL]: value } },
  });

const listOf = (items: readonly Manifest[]): string => JSON.stringify({ apiVersion: 'v1', kind: 'List', items });

const keyOf = ({ kind, metadata }: Manifest): string => `${kind}/${metadata.namespace ?? ''}/${metadata.name}`;

/** As kubectl accepts it: "clusterrole.v1.rbac.authorization.k8s.io". */
function resourceOf(kind: string, apiVersion: string): string {
  const [group, version] = apiVersion.split('/');
  return version === undefined ? kind.toLowerCase() : `${kind.toLowerCase()}.${version}.${group}`;
}
