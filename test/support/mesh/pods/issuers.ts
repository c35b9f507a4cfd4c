import { X509Certificate } from 'node:crypto';

import { type Api, type ClusterTrustBundle, paths, type Stored } from '../../api.ts';
import { pemCertificates, serialOf } from '../../peers/peer.ts';
import { certificatesOf, fingerprintOf } from '../issue.ts';
import { followRoleSecrets } from '../secrets.ts';

/** A certificate that the operator issued, to a Secret or to a pod. */
export interface IssuedCertificate {
  readonly serial: string;
  /** When the API server stored it, in milliseconds since 1970; up to one second early. */
  readonly writtenAt: number;
  /** The name of the workload. */
  readonly workload: string;
  /** The roles in which the workload presents it. */
  readonly roles: readonly ('server' | 'client')[];
  /** The pod that has it; absent for a Secret. */
  readonly pod?: string;
}

/** All certificates that the operator issues while the API client is open. */
export interface Issuers {
  readonly issued: readonly IssuedCertificate[];
  /** The fingerprint of the root that signed the certificate with this serial number, in the format of status. */
  rootOf(serial: string | undefined): string | undefined;
}

interface PodCertificateRequest extends Stored {
  readonly spec: { readonly podName: string; readonly serviceAccountName: string };
  readonly status?: {
    readonly certificateChain?: string;
    readonly conditions?: readonly { readonly type: string; readonly lastTransitionTime: string }[];
  };
}

const podCertificateRequests = '/apis/certificates.k8s.io/v1/podcertificaterequests';

/** Watches Secrets, pod certificates and roots. The ServiceAccount of a pod has the name of its workload. */
export function followIssuers(api: Api, namespaces: readonly string[]): Issuers {
  const roots = new Map<string, X509Certificate>();
  const leaves = new Map<string, X509Certificate>();
  const found = new Map<string, string>();
  const issued: IssuedCertificate[] = [];
  const add = (leaf: X509Certificate | undefined, about: Omit<IssuedCertificate, 'serial'>): void => {
    if (leaf === undefined || leaves.has(serialOf(leaf))) return;
    leaves.set(serialOf(leaf), leaf);
    issued.push({ serial: serialOf(leaf), ...about });
  };
  const following = [
    followRoleSecrets(api, namespaces, ({ files, writtenAt, certificate, role }) =>
      add(certificatesOf(files, 'tls.crt')[0], { writtenAt, workload: certificate, roles: [role] }),
    ),
    api.watch<PodCertificateRequest>(podCertificateRequests, ({ object: { spec, status } }) => {
      const [pem] = pemCertificates(status?.certificateChain ?? '');
      if (pem === undefined) return;
      const writtenAt = Date.parse(status?.conditions?.[0]?.lastTransitionTime ?? '');
      const about = { writtenAt, workload: spec.serviceAccountName, pod: spec.podName };
      add(new X509Certificate(pem), { ...about, roles: ['server', 'client'] });
    }),
    api.watch<ClusterTrustBundle>(paths.clusterTrustBundles(), ({ object }) => {
      for (const root of pemCertificates(object.spec.trustBundle).map((pem) => new X509Certificate(pem))) {
        roots.set(fingerprintOf(root), root);
      }
    }),
  ];
  // Without events, the assertions on roots fail.
  for (const follow of following) follow.catch(() => {});
  return {
    issued,
    rootOf(serial = '') {
      const known = found.get(serial);
      if (known !== undefined) return known;
      const leaf = leaves.get(serial);
      const root = [...roots].find(([, { publicKey }]) => leaf?.verify(publicKey) === true)?.[0];
      if (root !== undefined) found.set(serial, root);
      return root;
    },
  };
}
