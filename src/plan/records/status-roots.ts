import type { MtlsAuthorityStatus } from '../../api/types.ts';
import { anchorId, type Certificate, parseTrustAnchors } from '../../pki/index.ts';
import type { PodLeaves } from './pod-leaves.ts';

const known = new WeakMap<MtlsAuthorityStatus, readonly Certificate[]>();

/** The roots that were trusted when status was last written. Empty for a new authority. */
export function rootsInStatus(status: MtlsAuthorityStatus): readonly Certificate[] {
  const roots = known.get(status) ?? parsed(status.trustBundle ?? '');
  known.set(status, roots);
  return roots;
}

function parsed(pem: string): readonly Certificate[] {
  try {
    return parseTrustAnchors(pem);
  } catch {
    return [];
  }
}

/** The anchor identity of the root that signed when status was last written. Undefined when status names none. */
export const activeRootInStatus = (status: MtlsAuthorityStatus): string | undefined =>
  anchorIdInStatus(status, status.activeRoot?.fingerprint);

/** Until when pods may hold certificates, as status reports it. Status names roots, not the CAs below them. */
export const podLeavesInStatus = (status: MtlsAuthorityStatus): PodLeaves => ({
  roots: new Map(
    (status.podCertificates?.roots ?? []).flatMap(({ fingerprint, notAfter }) => {
      const root = anchorIdInStatus(status, fingerprint);
      return root === undefined ? [] : [[root, new Date(notAfter)] as const];
    }),
  ),
  issuers: new Map(),
});

/** The anchor identity of a root in status, by the fingerprint of its certificate. */
export function anchorIdInStatus(status: MtlsAuthorityStatus, fingerprint: string | undefined): string | undefined {
  const root = rootsInStatus(status).find((one) => one.fingerprint === fingerprint);
  return root && anchorId(root);
}
