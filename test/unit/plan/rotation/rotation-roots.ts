import { randomBytes } from 'node:crypto';
import { type Issuer, trustBundle } from '../../../../src/pki/index.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { days, now } from '../../../support/fixtures/times.ts';
import { issueRoot, type TestIssuer, withSigner } from '../../../support/sign.ts';

export const old = root({ name: 'Old' });
export const next = root({ name: 'New' });
export const other = root({ name: 'Other' });

export const fingerprintOf = ({ anchor }: Issuer): string => anchor.fingerprint;
export const anchorsOf = (...roots: readonly Issuer[]) => roots.map(({ anchor }) => anchor);
export const bundleOf = (first: Issuer, ...rest: readonly Issuer[]) => trustBundle(first.anchor, anchorsOf(...rest));

/** The same root with a renewed certificate for the same key and name. */
export function renewedRoot(of: TestIssuer, name: string): TestIssuer {
  const context = { now, serialSeed: randomBytes(20) };
  const certificate = issueRoot({ subject: { commonName: name }, durationMs: days(3650) }, of.key, context);
  return withSigner({ certificate, key: of.key, intermediates: [], anchor: certificate });
}
