import { annotations } from '../../src/api/constants.ts';
import { type KubeObject, refOf, type Secret, secrets } from '../../src/kube/index.ts';
import { describeKeySpec, type KeySpec } from '../../src/pki/index.ts';
import { eventually } from '../support/eventually.ts';
import type { Pair } from './contestant.ts';
import { mtlsCertificates, operatorContestant } from './operator-contestant.ts';
import type { Plane } from './plane.ts';

/** The real writes of the operator for one pair and one issuance. */
export interface Specimen {
  /** The name of the pair. A copy for another pair replaces it. */
  readonly name: string;
  readonly secrets: readonly Secret[];
  readonly status: unknown;
}

/** The first and the second issuance, for each kind of key. */
export type Specimens = Readonly<Record<string, readonly [Specimen, Specimen]>>;

interface WithStatus extends KubeObject {
  readonly status?: { readonly secrets?: ReadonlyArray<{ readonly secretName: string }> };
}

/** Lets the operator issue one pair of each kind twice. The ceiling copies these writes, so that number and sizes are equal. */
export async function takeSpecimens(plane: Plane, keys: readonly KeySpec[]): Promise<Specimens> {
  const operator = await operatorContestant.start(plane, 'follow');
  const [namespace = ''] = plane.namespaces;
  const specimens: Record<string, [Specimen, Specimen]> = {};
  for (const [index, key] of keys.entries()) {
    // The same length as the names in the scenarios.
    const pair = { namespace, name: `specimen-${index}`, key };
    for (const object of mtlsCertificates.requestsFor(pair))
      await plane.client.create(mtlsCertificates.resource, object);
    const first = await issued(plane, pair, 1);
    const rotate = { metadata: { annotations: { [annotations.rotate]: 'specimen' } } };
    await plane.client.mergePatch(mtlsCertificates.resource, pair, rotate);
    specimens[describeKeySpec(key)] = [first, await issued(plane, pair, 2)];
  }
  await operator.stop();
  return specimens;
}

async function issued({ client }: Plane, { namespace, name }: Pair, times: number): Promise<Specimen> {
  const object = await eventually(
    async () => {
      const found: WithStatus = await client.get(mtlsCertificates.resource, { namespace, name });
      if (!mtlsCertificates.isIssued(found, times)) throw new Error(`${name} is not issued`);
      return found;
    },
    { timeoutMs: 120_000 },
  );
  const names = (object.status?.secrets ?? []).map(({ secretName }) => secretName);
  const found = await Promise.all(names.map((secret) => client.get(secrets, { namespace, name: secret })));
  return { name, secrets: found.map(written), status: object.status };
}

/** A Secret as the operator sent it, without the fields that the API server adds. */
function written({
  metadata: { name, namespace, labels, annotations: all, ownerReferences },
  type,
  data,
}: Secret): Secret {
  return { metadata: { name, namespace, labels, annotations: all, ownerReferences }, type, data };
}

/** The writes of a specimen for another resource. */
export function specimenFor({ name: old, secrets: templates, status }: Specimen, key: string, uid: string): Specimen {
  const { namespace, name } = refOf(key);
  // Names have no characters with a special meaning in JSON.
  const renamed = <T>(value: T): T => JSON.parse(JSON.stringify(value).replaceAll(old, name)) as T;
  return {
    name,
    secrets: templates.map((template) => {
      const { metadata, ...rest } = renamed(template);
      const ownerReferences = metadata.ownerReferences?.map((owner) => ({ ...owner, uid }));
      return { ...rest, metadata: { ...metadata, namespace, ownerReferences } };
    }),
    status: renamed(status),
  };
}
