import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodePem } from '../../../../src/pki/asn1/pem.ts';
import { inspectIssuer, parseTrustAnchors, type RootProblem, trustBundle } from '../../../../src/pki/index.ts';
import { encodedRoot, root } from '../../../support/fixtures/roots.ts';
import { days } from '../../../support/fixtures/times.ts';
import {
  type OpensslRoot,
  type OpensslRootOptions,
  opensslRoot,
  present,
  scratchFile,
} from '../../../support/openssl.ts';
import * as fc from '../../../support/properties.ts';
import { inDays, type MadeCa, makeCa } from '../../../support/roots/make.ts';

const good = opensslRoot();
const other = opensslRoot();

/** Signed by `good`, which has the same name as every root that openssl creates here. */
const signedByGood = (options: OpensslRootOptions): OpensslRoot =>
  opensslRoot({ ...options, more: ['-CA', scratchFile(good.crt), '-CAkey', scratchFile(good.key)] });

const verdictOn = ({ crt, key }: OpensslRoot, at = present): RootProblem | 'good' => {
  const inspection = inspectIssuer(crt, key, at);
  return 'reason' in inspection ? inspection.reason : 'good';
};

// root-corpus.test.ts has the other good and bad roots.
describe('a root that a user provides', () => {
  test('is refused before it is valid and from the moment it expires', () => {
    const young = root();
    const made = encodedRoot(young);
    const { notBefore, notAfter } = young.certificate;
    assert.equal(verdictOn(made, new Date(notBefore.getTime() - 1)), 'RootNotYetValid');
    assert.equal(verdictOn(made, notBefore), 'good');
    assert.equal(verdictOn(made, new Date(notAfter.getTime() - 1)), 'good');
    assert.equal(verdictOn(made, notAfter), 'RootExpired');
    assert.equal(verdictOn(good, new Date(Date.now() + days(31))), 'RootExpired');
  });

  test('is refused with a message that does not quote the key', () => {
    const body = good.key.split('\n')[1] ?? '';
    for (const key of [
      good.key.slice(0, 90),
      good.key + good.key,
      other.key,
      good.key.replaceAll('PRIVATE KEY', 'X'),
    ]) {
      assert.ok(!JSON.stringify(inspectIssuer(good.crt, key, present)).includes(body.slice(0, 16)));
    }
  });

  test('is refused with a reason and never with an exception, for random octets', () => {
    const crtDer = Buffer.from(good.crt.replaceAll(/-----.*-----|\s/g, ''), 'base64');
    const keyDer = Buffer.from(good.key.replaceAll(/-----.*-----|\s/g, ''), 'base64');
    const pem = (label: string, der: Buffer): string =>
      `-----BEGIN ${label}-----\n${der.toString('base64')}\n-----END ${label}-----\n`;
    const damaged = (der: Buffer) =>
      fc.array(fc.tuple(fc.nat({ max: der.length - 1 }), fc.nat({ max: 255 })), { maxLength: 3 }).map((changes) => {
        const copy = Buffer.from(der);
        for (const [at, octet] of changes) copy[at] = octet;
        return copy;
      });
    fc.assert(
      fc.property(damaged(crtDer), damaged(keyDer), (crt, key) => {
        const inspection = inspectIssuer(pem('CERTIFICATE', crt), pem('PRIVATE KEY', key), present);
        const isUntouched = crt.equals(crtDer) && key.equals(keyDer);
        if (isUntouched) assert.ok('issuer' in inspection);
        else if ('issuer' in inspection)
          assert.ok(crt.equals(crtDer), 'a certificate that was changed is not self-signed');
      }),
      { numRuns: 1000 },
    );
  });
});

describe('the path from an intermediate to its root', () => {
  const pemOf = (...cas: readonly MadeCa[]): string => cas.map(({ pem }) => pem).join('');
  const pathOfRoot = (crt: string, key: string, caCrt = ''): string[] => {
    const inspection = inspectIssuer(crt, key, new Date(), parseTrustAnchors(caCrt));
    assert.ok('issuer' in inspection, 'message' in inspection ? inspection.message : '');
    const { intermediates, anchor } = inspection.issuer;
    return [...intermediates, anchor].map(({ der }) => encodePem('CERTIFICATE', der));
  };

  test('is the same for any order of tls.crt and with duplicates', () => {
    const root = makeCa();
    const [upper, middle] = [makeCa({ by: root }), makeCa({ by: root })];
    const between = makeCa({ by: upper });
    const signer = makeCa({ by: between });
    const path = [signer, between, upper, root].map(({ pem }) => pem);
    fc.assert(
      fc.property(fc.shuffledSubarray([between, upper, root, root, signer], { minLength: 5 }), (rest) => {
        assert.deepEqual(pathOfRoot(pemOf(signer, ...rest), signer.keyPem), path);
      }),
    );
    const inspection = inspectIssuer(pemOf(signer, between, upper, root, middle), signer.keyPem, new Date());
    assert.ok('reason' in inspection && inspection.reason === 'RootUnrelatedCertificates');
  });

  const [old, next] = [makeCa({ name: 'Old' }), makeCa({ name: 'New', notAfter: inDays(10) })];
  const cross = makeCa({ name: 'New', key: next.key, keyId: next.keyId, by: old });
  const signer = makeCa({ by: next });

  test('includes a cross-signed CA only when tls.crt contains it', () => {
    const anchors = pemOf(next, old);
    assert.deepEqual(pathOfRoot(pemOf(signer, cross), signer.keyPem, anchors), [signer.pem, cross.pem, old.pem]);
    assert.deepEqual(pathOfRoot(pemOf(signer), signer.keyPem, anchors), [signer.pem, next.pem]);
  });

  test('is refused for the problem of the path in tls.crt, even if another path is valid', () => {
    const ended = makeCa({ name: 'Ended', notAfter: inDays(-0.5) });
    const above = makeCa({ name: 'New', key: next.key, keyId: next.keyId, by: ended });
    const anchors = parseTrustAnchors(pemOf(next, ended));
    const inspection = inspectIssuer(pemOf(signer, above), signer.keyPem, new Date(), anchors);
    assert.ok('reason' in inspection && inspection.reason === 'RootExpired');
  });

  test('is refused when tls.crt contains two paths, because a leaf carries one', () => {
    const inspection = inspectIssuer(pemOf(signer, cross, old, next), signer.keyPem, new Date());
    assert.ok('reason' in inspection && inspection.reason === 'RootUnrelatedCertificates');
  });

  test('leads to the root with the longest validity, for any order of ca.crt', () => {
    // Several rounds, because the fingerprints are random.
    for (let round = 0; round < 8; round += 1) {
      const ends = [20, 40, 30].map((days) =>
        makeCa({ name: 'New', key: next.key, keyId: next.keyId, notAfter: inDays(days) }),
      );
      const path = [signer.pem, ends[1]?.pem];
      for (const anchors of [[next, ...ends], ends.toReversed()]) {
        assert.deepEqual(pathOfRoot(signer.pem, signer.keyPem, pemOf(...anchors)), path);
      }
    }
  });

  test('leads to a valid root even if another root is invalid', () => {
    const invalid = makeCa({ name: 'New', key: next.key, keyId: next.keyId, usage: [6], notAfter: inDays(9999) });
    assert.deepEqual(pathOfRoot(signer.pem, signer.keyPem, pemOf(invalid, next)), [signer.pem, next.pem]);
  });

  test('is searched quickly among many CAs that have signed each other', () => {
    const [a, b] = [makeCa({ name: 'A' }), makeCa({ name: 'B' })];
    const all = [0, 1, 2].flatMap(() => [
      makeCa({ name: 'A', key: a.key, keyId: a.keyId, by: b }),
      makeCa({ name: 'B', key: b.key, keyId: b.keyId, by: a }),
    ]);
    const [first = a] = all;
    const inspection = inspectIssuer(pemOf(...all), first.keyPem, new Date());
    assert.ok('reason' in inspection && inspection.reason === 'RootChainIncomplete');
  });

  test('is refused with the name of the missing or invalid certificate', () => {
    const root = makeCa({ name: 'The Root', notAfter: inDays(-0.5) });
    const below = makeCa({ name: 'Issuing', by: root });
    const messageOn = (caCrt: string) => {
      const inspection = inspectIssuer(below.pem, below.keyPem, new Date(), parseTrustAnchors(caCrt));
      return 'reason' in inspection ? inspection.message : '';
    };
    assert.match(
      messageOn(''),
      /the intermediate \(CN=Issuing\).*issuer \(CN=The Root\) is missing; put .* into ca.crt/,
    );
    assert.match(messageOn(root.pem), /^the root \(CN=The Root\) expired at .*; replace it$/);
  });
});

describe('the trust bundle', () => {
  const [a, b, c] = [root({ name: 'A' }), root({ name: 'B' }), root({ name: 'C', at: new Date('2024-01-01') })].map(
    ({ certificate }) => certificate,
  );
  assert.ok(a !== undefined && b !== undefined && c !== undefined);

  test('has the active root first, then the others from newest to oldest, without duplicates', () => {
    const bundle = trustBundle(b, [c, a, b, c]);
    assert.deepEqual(
      bundle.roots.map(({ fingerprint }) => fingerprint),
      [b, a, c].map(({ fingerprint }) => fingerprint),
    );
    assert.equal(parseTrustAnchors(bundle.pem).length, 3);
  });

  test('does not depend on the order of the roots', () => {
    const roots = [a, b, c, ...[1, 2].map((n) => root({ name: `N${n}` }).certificate)];
    fc.assert(
      fc.property(fc.shuffledSubarray(roots, { minLength: roots.length }), (shuffled) => {
        assert.equal(trustBundle(a, shuffled).digest, trustBundle(a, roots).digest);
      }),
    );
  });

  test('has only self-signed CAs: no leaf, no intermediate, no self-signed leaf', () => {
    const intermediate = signedByGood({ subject: '/CN=Intermediate' });
    const selfSignedLeaf = opensslRoot({ extensions: ['basicConstraints = CA:FALSE'] });
    const disguised = signedByGood({});
    const pem = [intermediate, selfSignedLeaf, disguised, good].map(({ crt }) => crt).join('');
    assert.deepEqual(parseTrustAnchors(pem), parseTrustAnchors(good.crt));
    assert.equal(parseTrustAnchors(good.crt).length, 1);
  });

  test('is empty for an empty text', () => assert.deepEqual(parseTrustAnchors(''), []));
});
