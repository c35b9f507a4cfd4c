/** CRLs, checked by independent programs: what they read from a CRL, and which certificates they refuse because of it. */

import assert from 'node:assert/strict';
import { createPublicKey, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import {
  type Certificate,
  type Crl,
  describeKeySpec,
  encodeCertificates,
  encodeCrls,
  type Issuer,
  type KeySpec,
  type RevokedCertificate,
} from '../../src/pki/index.ts';
import {
  type CrlCase,
  type CrlJudge,
  crlJudges,
  gnutlsCrl,
  goCrl,
  goReads,
  opensslCrl,
} from '../support/crl/judges.ts';
import { altNames } from '../support/fixtures/names.ts';
import { intermediate, privateKey, root } from '../support/fixtures/roots.ts';
import { days, hours } from '../support/fixtures/times.ts';
import { openssl, scratchFile } from '../support/openssl.ts';
import { unlessInstalled } from '../support/peers/index.ts';
import { run } from '../support/peers/process.ts';
import { issueCrl, issueLeafNow, type TestIssuer } from '../support/sign.ts';

// The programs use the clock of the machine, and this may take an hour on a slow machine.
const present = Math.floor(Date.now() / 1000) * 1000;
const at = (ms: number): Date => new Date(present + ms);

const issuer = (key?: KeySpec): TestIssuer => root({ at: at(-days(1)), ...(key === undefined ? {} : { key }) });

function leafOf(signer: Issuer): Certificate {
  const names = altNames({ dnsNames: ['db.shop.svc'] });
  const profile = { role: 'server', subject: {}, names, durationMs: days(2) } as const;
  const context = { now: new Date(present), serialSeed: randomBytes(20) };
  return issueLeafNow(profile, createPublicKey(privateKey()), signer, context);
}

const revoke = ({ serialNumber }: Certificate): RevokedCertificate => ({ serialNumber, revokedAt: at(-hours(1)) });

/** The CRL of an issuer, valid from an hour ago for 25 hours. */
const crlOf = (signer: Issuer, ...revoked: readonly Certificate[]): Crl =>
  issueCrl(signer, {
    number: 258n,
    thisUpdate: at(-hours(1)),
    nextUpdate: at(hours(24)),
    revoked: revoked.map(revoke),
  });

const expiredCrlOf = (signer: Issuer): Crl =>
  issueCrl(signer, { number: 257n, thisUpdate: at(-hours(4)), nextUpdate: at(-hours(2)), revoked: [] });

const judged = (signer: Issuer, leaf: Certificate, ...crls: readonly Crl[]): CrlCase => ({
  leaf: encodeCertificates([leaf, ...signer.intermediates]),
  roots: encodeCertificates([signer.anchor]),
  crls: encodeCrls(crls),
});

const keys: readonly KeySpec[] = [
  { algorithm: 'RSA', size: 2048 },
  { algorithm: 'RSA', size: 4096 },
  { algorithm: 'ECDSA', size: 256 },
  { algorithm: 'ECDSA', size: 384 },
  { algorithm: 'ECDSA', size: 521 },
  { algorithm: 'Ed25519' },
];

type Expected = 'accepted' | RegExp;

/** A valid leaf and a revoked leaf of an issuer, each with several sets of CRLs. */
function situations(signer: Issuer, other: Issuer): Array<[title: string, crlCase: CrlCase, Expected]> {
  const [revoked, good] = [leafOf(signer), leafOf(signer)];
  const [own, foreign] = [crlOf(signer, revoked), crlOf(other)];
  return [
    ['a revoked leaf', judged(signer, revoked, own), isRevoked],
    ['a leaf that is not revoked', judged(signer, good, own), 'accepted'],
    ['a leaf with an empty CRL', judged(signer, good, crlOf(signer)), 'accepted'],
    ['a revoked leaf, if the CRL of another issuer comes first', judged(signer, revoked, foreign, own), isRevoked],
    [
      'a leaf that is not revoked, if the CRL of another issuer follows',
      judged(signer, good, own, foreign),
      'accepted',
    ],
    ['a leaf with an expired CRL', judged(signer, good, expiredCrlOf(signer)), expired],
    ['a leaf with only the CRL of another issuer', judged(signer, good, foreign), absent],
  ];
}

/** Patterns for the messages of all programs. */
const isRevoked = /revoked/i;
const expired = /CRL has expired|UNDETERMINED_REVOCATION_STATUS/;
const absent = /unable to get certificate CRL|no CRL of the issuer|UNDETERMINED_REVOCATION_STATUS/;

function assertVerdicts(
  judge: CrlJudge,
  cases: ReadonlyArray<[title: string, crlCase: CrlCase, expected: Expected]>,
  refusals: ReadonlyArray<string | undefined>,
): void {
  assert.equal(refusals.length, cases.length);
  for (const [index, [title, , expected]] of cases.entries()) {
    const refusal = refusals[index];
    const isAccepted = expected === 'accepted' || (expected !== isRevoked && !judge.insists);
    if (isAccepted) assert.equal(refusal, undefined, title);
    else assert.match(refusal ?? 'accepted', expected, title);
  }
}

describe('certificates are checked against CRLs', () => {
  const other = issuer();
  const ofKeys = keys.flatMap((spec) =>
    situations(issuer(spec), other).map(([title, crlCase, expected]): [string, CrlCase, Expected] => [
      `${describeKeySpec(spec)}: ${title}`,
      crlCase,
      expected,
    ]),
  );
  const below = situations(intermediate(issuer(), { at: at(-hours(2)) }), other).map(
    ([title, crlCase, expected]): [string, CrlCase, Expected] => [`intermediate: ${title}`, crlCase, expected],
  );
  const all = [...ofKeys, ...below];
  for (const judge of crlJudges) {
    test(`by ${judge.name}, with every kind of key of the issuer`, { skip: unlessInstalled(judge) }, async () =>
      assertVerdicts(judge, all, await judge.refusals(all.map(([, crlCase]) => crlCase))),
    );
  }
});

describe('a CRL has the expected content', () => {
  const signer = issuer();
  const revoked = [leafOf(signer), leafOf(signer), leafOf(signer)];
  const crl = crlOf(signer, ...revoked);
  const serials = revoked.map(({ serialNumber }) => serialNumber).sort();
  const iso = (date: Date): string => date.toISOString().replace('.000', '');

  test('in Go', { skip: unlessInstalled(goCrl) }, async () => {
    const [read] = await goReads([judged(signer, leafOf(signer), crl)]);
    assert.deepEqual(read?.Lists, [
      {
        Number: '258',
        AuthorityKeyID: signer.certificate.subjectKeyId,
        ThisUpdate: iso(crl.thisUpdate),
        NextUpdate: iso(crl.nextUpdate),
        Extensions: ['2.5.29.35', '2.5.29.20'],
        Revoked: serials.map((serial) => `${serial} ${iso(at(-hours(1)))}`),
      },
    ]);
  });

  test('in openssl', { skip: unlessInstalled(opensslCrl) }, () => {
    const file = scratchFile(encodeCertificates([signer.certificate]));
    const text = openssl(['crl', '-text', '-noout', '-CAfile', file], encodeCrls([crl]));
    assert.match(text, /Version 2 \(0x1\)/);
    assert.match(text, /X509v3 CRL Number: *\n *258\n/);
    assert.deepEqual(
      [...text.matchAll(/Serial Number: (\w+)/g)].map(([, serial]) => serial?.toLowerCase()),
      serials,
    );
    assert.doesNotMatch(text, /critical/);
    assert.doesNotMatch(openssl(['crl', '-text', '-noout'], encodeCrls([crlOf(signer)])), /Revoked Certificates:/);
  });

  test('in GnuTLS, which also verifies it', { skip: unlessInstalled(gnutlsCrl) }, async () => {
    const [ca, list] = [scratchFile(encodeCertificates([signer.certificate])), scratchFile(encodeCrls([crl]))];
    const info = await run(['certtool', '--crl-info', '--infile', list]);
    assert.match(info.stdout, /Version: 2[\s\S]*CRL Number \(not critical\): 0*102\n/);
    assert.deepEqual(
      [...info.stdout.matchAll(/Serial Number \(hex\): (\w+)/g)].map(([, serial]) => serial),
      serials,
    );
    const verified = await run(['certtool', '--verify-crl', '--load-ca-certificate', ca, '--infile', list]);
    assert.match(`${verified.stdout}${verified.stderr}`, /Verification output: Verified/);
    const old = scratchFile(encodeCrls([expiredCrlOf(signer)]));
    const refused = await run(['certtool', '--verify-crl', '--load-ca-certificate', ca, '--infile', old]);
    assert.match(`${refused.stdout}${refused.stderr}`, /have been superseded/);
  });
});
