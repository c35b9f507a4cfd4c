import type { RootSpec } from '../../api/types.ts';
import type { KeySpec, RootProfile } from '../../pki/index.ts';
import { keySpecOf } from '../certificate/key-spec.ts';
import { parseDurationMs } from '../timing/duration.ts';

/**
 * The profile and key of a root to generate. Undefined when spec is not valid, in a resource that is older than its
 * schema.
 */
export function rootRequest({
  commonName,
  organizations,
  privateKey,
  duration,
}: RootSpec): { readonly profile: RootProfile; readonly key: KeySpec } | undefined {
  const durationMs = parseDurationMs(duration);
  // The default key is larger than a leaf's, because it must last for ten years (SP 800-57 part 1, 5.6.3).
  const key = keySpecOf(privateKey, 3072);
  if (durationMs === undefined || key === undefined) return undefined;
  const subject = { commonName, ...(organizations === undefined ? {} : { organizations }) };
  return { profile: { subject, durationMs }, key };
}
