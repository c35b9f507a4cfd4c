import assert from 'node:assert/strict';
import { createPublicKey, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import {
  type Certificate,
  encodeCertificates,
  type IssuerInspection,
  inspectIssuer,
  leafRecord,
  PkiError,
  parseTrustAnchors,
  readLeaf,
  trustBundle,
} from '../../../../src/pki/index.ts';
import { altNames } from '../../../support/fixtures/names.ts';
import { issuerIdOf, privateKey, rootIdOf } from '../../../support/fixtures/roots.ts';
import { hours } from '../../../support/fixtures/times.ts';
import { opensslRefusal } from '../../../support/openssl.ts';
import { badCertificates } from '../../../support/roots/bad-certificates.ts';
import { badChains } from '../../../support/roots/bad-chains.ts';
import { badKeys } from '../../../support/roots/bad-keys.ts';
import type { RootFiles } from '../../../support/roots/corpus.ts';
import { goodRoots } from '../../../support/roots/good.ts';
import { issueLeafNow } from '../../../support/sign.ts';

const badRoots = [...badCertificates, ...badKeys, ...badChains];

/** The roots in ca.crt, or the rejection when it cannot be read. */
function anchorsIn(files: RootFiles): Certificate[] | { reason: 'RootMalformed'; message: string } {
  try {
    return parseTrustAnchors(files['ca.crt'] ?? '');
  } catch (error) {
    if (!(error instanceof PkiError)) throw error;
    return { reason: 'RootMalformed', message: error.message };
  }
}

function inspect(files: RootFiles, now = new Date()): IssuerInspection {
  const anchors = anchorsIn(files);
  return 'reason' in anchors ? anchors : inspectIssuer(files['tls.crt'], files['tls.key'], now, anchors);
}

test('the corpus has the expected size and no duplicate titles', () => {
  assert.ok(badRoots.length >= 60 && goodRoots.length >= 20, `${badRoots.length} bad, ${goodRoots.length} good`);
  for (const roots of [badRoots, goodRoots]) assert.equal(new Set(roots.map(({ title }) => title)).size, roots.length);
});

describe('a bad root signs nothing', () => {
  for (const { title, reason, make } of badRoots) {
    test(`${reason}: ${title}`, () => {
      const files = make();
      const inspection = inspect(files);
      assert.ok('reason' in inspection, 'a bad root was accepted');
      assert.equal(inspection.reason, reason, inspection.message);
      const body = files['tls.key'].split('\n')[1] ?? '';
      assert.ok(body.length < 16 || !inspection.message.includes(body.slice(0, 16)));
    });
  }
});

const key = privateKey();
const dnsNames = ['db.shop.svc.cluster.local'];
const names = altNames({ dnsNames });
const profile = { role: 'peer', subject: {}, names, durationMs: hours(24) } as const;

describe('a good root signs a leaf that openssl accepts with its intermediates', () => {
  for (const { title, make, intermediates = 0, isStrict = true } of goodRoots) {
    test(title, () => {
      const files = make();
      const now = new Date();
      const inspection = inspect(files, now);
      assert.ok('issuer' in inspection, 'reason' in inspection ? `${inspection.reason}: ${inspection.message}` : '');
      const { issuer: root } = inspection;
      assert.equal(root.intermediates.length, intermediates);
      const leaf = issueLeafNow(profile, createPublicKey(key), root, { now, serialSeed: randomBytes(20) });
      const anchors = anchorsIn(files);
      assert.ok(Array.isArray(anchors));
      const bundle = trustBundle(root.anchor, anchors);
      const crt = encodeCertificates([leaf, ...root.intermediates]);
      const keyPem = key.export({ type: 'pkcs8', format: 'pem' });
      const record = leafRecord(leaf, root.intermediates, keyPem, bundle.roots);
      assert.equal(record.root, rootIdOf(root));
      assert.equal(record.issuer, issuerIdOf(root));
      assert.deepEqual(readLeaf(crt, keyPem, bundle.roots), record);
      for (const purpose of ['sslserver', 'sslclient'] as const) {
        assert.equal(opensslRefusal(crt, bundle.pem, purpose, now, { strict: isStrict }), undefined);
        // The root alone must verify the leaf, without the other roots of the bundle.
        assert.equal(
          opensslRefusal(crt, encodeCertificates([root.anchor]), purpose, now, { strict: isStrict }),
          undefined,
        );
      }
      if (!isStrict) assert.notEqual(opensslRefusal(crt, bundle.pem, 'sslserver', now), undefined);
    });
  }
});
