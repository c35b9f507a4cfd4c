// Makes the writes of the operator and nothing else, see ceiling.ts. Runs until it is stopped.

import { readFileSync } from 'node:fs';
import { secretKeys } from '../../src/api/constants.ts';
import { certificates as certificateResource } from '../../src/controllers/objects/resources.ts';
import {
  isKubeError,
  KubeClient,
  type KubeObject,
  keyOf,
  loadConnection,
  type MergePatch,
  podCertificateRequests,
  type Resource,
  type Secret,
  type Served,
  secrets as secretResource,
} from '../../src/kube/index.ts';
import { describeKeySpec, type KeySpec } from '../../src/pki/index.ts';
import { keySpecOf } from '../../src/plan/certificate/key-spec.ts';
import { inParallel } from '../support/parallel.ts';
import type { CeilingInput } from './ceiling.ts';
import { type Specimen, specimenFor } from './specimen.ts';

/** The number of the operator's workers. Each sends its two Secrets at once. */
const width = 32;

const { kubeconfig, job, specimens } = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as CeilingInput;
const client = new KubeClient(await loadConnection({ kubeconfig }), { userAgent: 'ceiling' });

interface WithStatus extends KubeObject {
  readonly status: unknown;
}

/** A resource and the writes for it. */
interface Work {
  /** The observed revision: the precondition of the status write. */
  readonly resourceVersion: string;
  readonly namespace: string;
  readonly name: string;
  readonly first: Specimen;
  readonly second: Specimen;
}

const { resourceVersion, work } = await allWork();
const live = job === 'renew' || job === 'rotate' ? await liveSecrets() : new Map<string, LiveSecret>();
console.log(JSON.stringify({ message: 'begins', at: Date.now() }));
switch (job) {
  case 'issue':
    await inParallel(work, issue, width);
    break;
  case 'renew':
    await renewAll();
    break;
  case 'rotate':
    await rotateAll();
    break;
  case 'follow':
    await follow();
    break;
  case 'answer':
    await answerAll();
    break;
  default:
    throw new Error(`unknown job ${job}`);
}
// Stays alive, because its memory and CPU are read after its work.
setInterval(() => {}, 60_000);

async function allWork() {
  const found: Work[] = [];
  let version = '';
  for await (const page of client.listPages(certificateResource, { limit: 500 })) {
    version = page.resourceVersion ?? version;
    for (const { metadata, spec } of page.items) found.push(workFor(metadata, requestedKey(spec.privateKey)));
  }
  return { resourceVersion: version, work: found };
}

/** The kind of key that the operator would use. */
function requestedKey(settings: Parameters<typeof keySpecOf>[0]): KeySpec {
  const spec = keySpecOf(settings, 2048);
  if (spec === undefined) throw new RangeError(`unknown kind of key: ${settings.algorithm} ${settings.size}`);
  return spec;
}

function workFor(metadata: Served<KubeObject>['metadata'], spec: KeySpec): Work {
  const kind = specimens[describeKeySpec(spec)];
  if (kind === undefined) throw new Error(`no specimen with a key of type ${describeKeySpec(spec)}`);
  const [first, second] = kind.map((specimen) => specimenFor(specimen, keyOf(metadata), metadata.uid)) as [
    Specimen,
    Specimen,
  ];
  const { namespace = '', name, resourceVersion } = metadata;
  return { resourceVersion, namespace, name, first, second };
}

async function issue(one: Work): Promise<void> {
  await Promise.all(one.first.secrets.map((secret) => client.create(secretResource, secret, { metadataOnly: true })));
  await writeStatus(one, one.first);
}

async function writeStatus({ resourceVersion, namespace, name }: Work, { status }: Specimen): Promise<void> {
  const patch: MergePatch<WithStatus> = { metadata: { resourceVersion }, status };
  await client.mergePatch<WithStatus>(certificateResource as Resource<WithStatus>, { namespace, name }, patch, {
    subresource: 'status',
    metadataOnly: true,
  });
}

async function renewAll(): Promise<void> {
  const renew = async (one: Work): Promise<void> => {
    await Promise.all(one.second.secrets.map((secret) => replaceData(secret, secret.data ?? {})));
    await writeStatus(one, one.second);
  };
  await inParallel(work, renew, width);
}

/** The writes of a root rotation: the bundle with both roots, the bundle without the old root, and the leaf with its status. */
async function rotateAll(): Promise<void> {
  for (const copies of [2, 1]) {
    const rewrite = ({ second }: Work): Promise<unknown> =>
      Promise.all(
        second.secrets.map((secret) => replaceData(secret, { [secretKeys.bundle]: bundleOf(secret, copies) })),
      );
    await inParallel(work, rewrite, width);
  }
  await renewAll();
}

/** A bundle with `copies` times its roots, in base64. */
function bundleOf({ data = {} }: Secret, copies: number): string {
  const bundle = Buffer.from(data[secretKeys.bundle] ?? '', 'base64').toString();
  return Buffer.from(bundle.repeat(copies)).toString('base64');
}

interface LiveSecret {
  readonly uid: string;
  readonly resourceVersion: string;
}

async function liveSecrets(): Promise<Map<string, LiveSecret>> {
  const found = new Map<string, LiveSecret>();
  for await (const { items } of client.listPages(secretResource, { limit: 500, metadataOnly: true })) {
    for (const { metadata } of items) found.set(keyOf(metadata), metadata);
  }
  return found;
}

async function replaceData({ metadata }: Secret, data: Readonly<Record<string, string>>): Promise<void> {
  const key = keyOf(metadata);
  const { uid, resourceVersion } = live.get(key) ?? {};
  const { labels, annotations } = metadata;
  const patch = { metadata: { uid, resourceVersion, labels, annotations }, data };
  const patched = await client.mergePatch(secretResource, metadata, patch, { metadataOnly: true });
  live.set(key, patched.metadata);
}

/** Issues for existing and new resources. Reads only their metadata. */
async function follow(): Promise<void> {
  const start = (one: Work) => {
    issue(one).catch((error: unknown) => {
      // The resource was deleted. Any other error ends the program with its message.
      if (!isKubeError(error, 'NotFound', 'Conflict')) throw error;
    });
  };
  for (const one of work) start(one);
  await forEachAdded(certificateResource, resourceVersion, (metadata) =>
    start(workFor(metadata, { algorithm: 'ECDSA', size: 256 })),
  );
}

/** Calls `start` with the metadata of every object that is created after a revision. */
async function forEachAdded(
  resource: Resource<KubeObject>,
  resourceVersion: string,
  start: (metadata: Served<KubeObject>['metadata']) => void,
): Promise<void> {
  // The API server ends a watch that is too slow. The next watch continues from the same revision.
  for (let from = resourceVersion; ; ) {
    for await (const event of client.watch(resource, { resourceVersion: from, metadataOnly: true })) {
      if (event.type === 'BOOKMARK') {
        from = event.resourceVersion;
        continue;
      }
      const { metadata } = event.object;
      from = metadata.resourceVersion;
      if (event.type === 'ADDED') start(metadata);
    }
  }
}

/** Gives every request for a pod certificate the answer that the operator gave to the first one. All requests have the same key. */
async function answerAll(): Promise<void> {
  const { items, resourceVersion: version } = await client.list(podCertificateRequests);
  const status = items.find((request) => request.status?.conditions !== undefined)?.status;
  if (status === undefined) throw new Error('no request has an answer to copy');
  const answer = async ({ namespace, name, resourceVersion }: Served<KubeObject>['metadata']): Promise<void> => {
    const answered = { metadata: { namespace, name, resourceVersion }, status };
    await client.replace(podCertificateRequests, answered, { subresource: 'status', metadataOnly: true });
  };
  const pending = items.filter((request) => request.status?.conditions === undefined);
  await inParallel(pending, ({ metadata }) => answer(metadata), width);
  await forEachAdded(podCertificateRequests, version, (metadata) => void answer(metadata));
}
