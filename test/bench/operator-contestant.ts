import { join } from 'node:path';
import { authorities, certificates as certificateResource } from '../../src/controllers/objects/resources.ts';
import type { KubeObject } from '../../src/kube/index.ts';
import { buildOperator } from '../../tools/build.ts';
import type { TestCluster } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { imageEnvironment } from '../support/image.ts';
import { startOperator } from '../support/operator.ts';
import { type Contestant, isReady, type Job, type Pair, type Running } from './contestant.ts';

/** The part of an MtlsCertificate that says how often it was issued. */
interface Issued extends KubeObject {
  readonly status?: { readonly secrets?: ReadonlyArray<{ readonly revision: number }> };
}

export const mtlsCertificates: Pick<Contestant, 'resource' | 'certificatesPerObject' | 'requestsFor' | 'isIssued'> = {
  resource: certificateResource,
  certificatesPerObject: 2,
  requestsFor: (pair) => [mtlsCertificate(pair)],
  isIssued(object, times) {
    const { secrets = [] } = (object as Issued).status ?? {};
    return secrets.length === 2 && secrets.every(({ revision }) => revision >= times) && isReady(object);
  },
};

/** The operator as it is shipped: compiled, with its own ServiceAccount, the image's environment and its defaults. */
export const operatorContestant: Contestant = {
  name: 'operator',
  ...mtlsCertificates,
  async prepare(plane) {
    // The operator creates its root here, because that is not part of the comparison.
    const operator = await operatorContestant.start(plane, 'follow');
    await eventually(async () => {
      if (!isReady(await plane.client.get(authorities, { name: 'default' }))) throw new Error('the root is not ready');
    });
    await operator.stop();
  },
  start: async ({ cluster }, job) => startBuild(cluster, await buildOperator(), job),
};

const startBuild = (cluster: TestCluster, main: string, job: Job): Promise<Running> =>
  startOperator(cluster, { main, env: imageEnvironment(), args: job === 'answer' ? ['--pod-certificates'] : [] });

/**
 * Another build of the operator, to compare with this one: `main.js` in a folder that `npm run build` wrote in another
 * checkout. The manifests and the root come from this checkout.
 */
export const otherBuild = (folder: string): Contestant => ({
  ...operatorContestant,
  name: 'before',
  start: ({ cluster }, job) => startBuild(cluster, join(folder, 'main.js'), job),
});

function mtlsCertificate({ namespace, name, key, lifetime }: Pair): KubeObject {
  const spec = {
    server: { service: name },
    client: { serviceAccount: name },
    ...(key === undefined ? {} : { privateKey: key }),
    ...lifetime,
  };
  const object = {
    apiVersion: 'mtls-operator.io/v1alpha1',
    kind: 'MtlsCertificate',
    metadata: { namespace, name },
    spec,
  };
  return object;
}
