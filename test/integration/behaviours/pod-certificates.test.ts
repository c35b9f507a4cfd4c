import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { after, describe, test } from 'node:test';

import { paths } from '../../support/api.ts';
import { openHelm } from '../../support/chart/helm.ts';
import { eventually } from '../../support/eventually.ts';
import { conditionOf, installation } from '../../support/installation.ts';
import { answerOf, issuedTo, openPods, type PodWorld, signerOf } from '../../support/pods/pods.ts';

const world = installation({ operator: false, watched: false, args: ['--pod-certificates'] }, async () => {
  const rendered = await (await openHelm('helm')).render({ podCertificates: { enabled: true } });
  const isNeeded = ({ kind }: { kind: string }) =>
    /^((Cluster)?Role(Binding)?|ValidatingAdmissionPolicy(Binding)?)$/.test(kind);
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: rendered.filter(isNeeded) });
  await world.cluster.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], { input });
  await world.start();
  pods = await openPods(world.cluster);
});

let pods: PodWorld;
after(async () => pods?.close());

describe('a pod gets a certificate without a Secret', () => {
  test('for the SPIFFE ID of its ServiceAccount, from the root of the authority', async () => {
    const authority = await world.ownAuthority({ podCertificates: {} });
    const { namespace } = await world.tenant('shop');
    const pod = await pods.create(namespace, { certificates: [{ signerName: signerOf(authority) }] });
    const request = await pods.answered(await pods.request(pod));
    const leaf = issuedTo(request);
    assert.equal(leaf.subjectAltName, `URI:spiffe://cluster.local/ns/${namespace}/sa/default`);
  });
});
void [createPublicKey, paths, eventually, conditionOf, answerOf, describe];
