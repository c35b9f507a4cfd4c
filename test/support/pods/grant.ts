import { openHelm } from '../chart/helm.ts';
import type { TestCluster } from '../cluster.ts';

const kinds = /^((Cluster)?Role(Binding)?|ValidatingAdmissionPolicy(Binding)?)$/;

/** The binding of the policy that lets only nodes create requests. */
const binding = 'mtls-operator-pod-certificates';

/**
 * Gives the operator in `deploy/` the rights of the chart with pod certificates, and with `podEvidence` those to watch pods. With
 * `anyoneRequests`, the policy that lets only nodes create requests is not applied, as with `admissionPolicy.enabled: false`.
 */
export async function grantPodCertificates(
  { kubectl }: TestCluster,
  {
    anyoneRequests = false,
    podEvidence = false,
  }: { readonly anyoneRequests?: boolean; readonly podEvidence?: boolean } = {},
): Promise<void> {
  const helm = await openHelm('helm');
  const rendered = await helm.render({ podCertificates: { enabled: true }, podEvidence: { enabled: podEvidence } });
  const items = rendered.filter(
    ({ kind, metadata }) => kinds.test(kind) && !(anyoneRequests && metadata.name === binding),
  );
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  await kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], { input });
}
