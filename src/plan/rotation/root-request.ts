import type { RootSpec } from '../../api/types.ts';
import type { KeySpec, RootProfile } from '../../pki/index.ts';
import { keySpecOf } from '../certificate/key-spec.ts';
import { parseDurationMs } from '../timing/duration.ts';

/** What a root is made from; undefined where spec says what cannot be, in a resource that is older than its schema. */
export function rootRequest({
  commonName,
  organizations,
  privateKey,
  duration,
}: RootSpec): { readonly profile: RootProfile; readonly key: KeySpec } | undefined {
  const durationMs = parseDurationMs(duration);
  // Larger by default than a leaf's: it has to last for ten years (SP 800-57 part 1, 5.6.3).
  const key = keySpecOf(privateKey, 3072);
  if (durationMs === undefined || key === undefined) return undefined;
  const subject = { commonName, ...(organizations === undefined ? {} : { organizations }) };
  return { profile: { subject, durationMs }, key };
}
