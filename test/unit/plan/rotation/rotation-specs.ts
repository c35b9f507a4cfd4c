import type { MtlsAuthoritySpec } from '../../../../src/api/types.ts';
import { authority } from '../../../support/fixtures/authority.ts';

const {
  root: ownRoot = { commonName: '', privateKey: { algorithm: 'ECDSA' as const }, duration: '' },
  ...broughtSpec
} = authority().spec;
/** The spec of an authority whose root an administrator provides. */
export const brought: MtlsAuthoritySpec = broughtSpec;
/** The spec of an authority with a generated root, with changes. */
export const making = (changes: Partial<NonNullable<MtlsAuthoritySpec['root']>>): MtlsAuthoritySpec => ({
  ...brought,
  root: { ...ownRoot, ...changes },
});
/** The spec of an authority with other settings for rotations. */
export const rotating = (changes: Partial<MtlsAuthoritySpec['rotation']>): MtlsAuthoritySpec => ({
  ...authority().spec,
  rotation: { ...brought.rotation, ...changes },
});
