import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Secret } from '../api.ts';
import { scratchFolder } from '../scratch.ts';
import { fileOf, fingerprintOf, openssl } from './judge.ts';

/**
 * Asserts that each of these Secrets trusts exactly these roots, by fingerprint, and that OpenSSL verifies the certificate of
 * every Secret against the roots of every Secret.
 */
export async function assertTrustedRoots(
  secrets: readonly Secret[],
  roots: readonly (string | undefined)[],
): Promise<void> {
  const file = join(await scratchFolder('trusted'), 'ca.crt');
  for (const trusting of secrets) {
    const bundle = fileOf(trusting, 'ca.crt');
    const certificates = bundle.match(/-----BEGIN[^]*?-----END CERTIFICATE-----\n/g) ?? [];
    const trusted = await Promise.all(certificates.map(fingerprintOf));
    assert.deepEqual(new Set(trusted), new Set(roots));
    assert.equal(trusted.length, roots.length);
    writeFileSync(file, bundle);
    for (const shown of secrets) await openssl(['verify', '-CAfile', file], fileOf(shown, 'tls.crt'));
  }
}
