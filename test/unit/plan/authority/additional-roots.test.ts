import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  anchorId,
  encodeCertificates,
  offeredRootsLimits,
  PkiError,
  readOfferedRoots,
  trustBundle,
} from '../../../../src/pki/index.ts';
import { additionalRootsCondition, planAdditionalRoots } from '../../../../src/plan/authority/additional-roots.ts';
import type { ObservedSource } from '../../../../src/plan/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { encodedRoot, intermediate, privateKey, root } from '../../../support/fixtures/roots.ts';
import { days, earlier, later, now } from '../../../support/fixtures/times.ts';
import { badCertificates } from '../../../support/roots/bad-certificates.ts';
import { makeCa } from '../../../support/roots/make.ts';
import type { TestIssuer } from '../../../support/sign.ts';

const [own, partner, other] = ['Own', 'Partner', 'Other'].map((name) => root({ name })) as [
  TestIssuer,
  TestIssuer,
  TestIssuer,
];
const pem = (...roots: readonly TestIssuer[]): string =>
  encodeCertificates(roots.map(({ certificate }) => certificate));
const source = (text: string, name = 'ConfigMap partner, key ca.crt'): ObservedSource => ({
  name,
  roots: readOfferedRoots(text),
});
const planned = (...sources: readonly ObservedSource[]) => planAdditionalRoots({ sources }, now);
const subjects = (plan: ReturnType<typeof planned>) => plan.roots.map(({ fingerprint }) => fingerprint);
const fingerprints = (...roots: readonly TestIssuer[]) => roots.map(({ certificate }) => certificate.fingerprint);
const conditionOf = (plan: ReturnType<typeof planned>) => additionalRootsCondition(authority(), plan)[0];

describe('additional roots', () => {
  test('follow the own roots in the order of spec, without duplicates and without own roots', () => {
    const plan = planned(source(pem(partner, own)), source(pem(other, partner), 'Secret other, key ca.crt'));
    assert.deepEqual(subjects(plan), fingerprints(partner, own, other));
    const bundle = trustBundle(own.certificate, [], plan.roots);
    assert.equal(bundle.pem, pem(own, partner, other));
    assert.deepEqual(bundle.roots, [own.certificate]);
    assert.deepEqual(conditionOf(plan), {
      type: 'AdditionalRootsAccepted',
      status: 'True',
      reason: 'Accepted',
      message: '3 additional roots are in the bundle',
    });
  });

  test('expire at their time, and join when they become valid', () => {
    const short = root({ name: 'Short', at: earlier(days(10)), durationMs: days(11) });
    const coming = root({ name: 'Coming', at: later(days(3)) });
    const plan = planned(source(pem(short, coming, partner)));
    assert.deepEqual(subjects(plan), fingerprints(short, partner));
    assert.deepEqual(plan.nextAt, short.certificate.notAfter);
    const { certificate } = coming;
    assert.match(conditionOf(plan)?.message ?? '', /certificate 2 \(CN=Coming.*\) is not valid before /);
    const after = planAdditionalRoots({ sources: [source(pem(short, coming, partner))] }, certificate.notBefore);
    assert.deepEqual(subjects(after), fingerprints(coming, partner));
    assert.equal(conditionOf(after)?.reason, 'RootExpired');
  });

  // A time that is not after the plan starts no timer: the changed source would wait for an unrelated event.
  for (const recheckInMs of [0, 0.2, 1, 1.5, 2000])
    test(`are planned again when a changed source has waited ${recheckInMs} ms more`, () => {
      const { nextAt } = planAdditionalRoots({ sources: [source(pem(partner))], recheckInMs }, now);
      assert.deepEqual(nextAt, later(Math.max(1, Math.ceil(recheckInMs))));
    });

  test('that do not fit leave out their source, never another one', () => {
    const key = privateKey();
    const many = Array.from({ length: 64 }, (_, index) =>
      makeCa({ key, keyId: Buffer.from([index]), notBefore: earlier(days(1)), notAfter: later(days(1)) }),
    );
    const text = encodeCertificates(
      many.flatMap(({ der }) =>
        readOfferedRoots(pemOf(der)).flatMap((one) => ('certificate' in one ? one.certificate : [])),
      ),
    );
    const plan = planned(source(pem(partner)), source(text, 'Secret many, key ca.crt'), source(pem(other)));
    assert.deepEqual(subjects(plan), fingerprints(partner, other));
    const condition = conditionOf(plan);
    assert.equal(condition?.reason, 'BundleFull');
    assert.match(condition?.message ?? '', /^left out: Secret many, key ca.crt: its 64 roots do not fit/);
  });

  test('are reported in a message of bounded length', () => {
    const leaf = pem(intermediate(partner));
    const plan = planned(...Array.from({ length: 16 }, () => source(leaf.repeat(100))));
    const { message = '' } = conditionOf(plan) ?? {};
    assert.ok(message.length < 4000, `${message.length} characters`);
    assert.match(message, /and 1592 more/);
  });
});

const pemOf = (der: Buffer): string =>
  `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`;

describe('a certificate that cannot be a root is left out, and the others of its source stay', () => {
  const leaf = makeCa({ extensions: [] });
  const rows: Record<string, [text: string, message: RegExp]> = {
    'a leaf': [pemOf(leaf.der), /is not a CA/],
    'an intermediate': [pem(intermediate(partner)), /is not self-signed/],
    'a damaged certificate': [pemOf(Buffer.from('3003020101', 'hex')), /./],
    'a private key': [encodedRoot(partner).key, /is a block (EC )?PRIVATE KEY/],
    'a block whose label could change a terminal': [
      '-----BEGIN \u001b[31mA-----\nAAAA\n-----END \u001b[31mA-----\n',
      /certificate 1 is a block of another kind\./,
    ],
    'a certificate of 20 KiB': [pemOf(Buffer.alloc(20 * 1024)), /at most 16384/],
  };
  for (const [title, [text, message]] of Object.entries(rows)) {
    test(title, () => {
      const plan = planned(source(text + pem(other)));
      assert.deepEqual(subjects(plan), fingerprints(other));
      const condition = conditionOf(plan);
      assert.equal(condition?.reason, 'RootRefused', condition?.message ?? 'no condition');
      assert.match(condition?.message ?? '', message);
      assert.match(condition?.message ?? '', /^left out: ConfigMap partner, key ca.crt: certificate 1 /);
    });
  }

  // One certificate for each reason: the corpus is for the operator's own root, and the rules are the same.
  const oneOfEach = new Map(badCertificates.toReversed().map((bad) => [bad.reason, bad]));
  for (const { title, reason, make } of oneOfEach.values()) {
    test(`${reason}: ${title}`, () => {
      const { 'tls.crt': text } = make();
      // The operator refuses some files of its own root for the number of their blocks.
      if (text.split('-----BEGIN ').length !== 2) return;
      const accepted = (): readonly string[] => {
        try {
          return planAdditionalRoots({ sources: [source(text)] }, new Date()).roots.map(anchorId);
        } catch (error) {
          assert.ok(error instanceof PkiError);
          return [];
        }
      };
      assert.deepEqual(accepted(), []);
    });
  }
});

describe('a source that cannot be read whole is refused whole', () => {
  const rows: Record<string, [text: string, code: string]> = {
    'more than 256 KiB': ['x'.repeat(offeredRootsLimits.text + 1), 'TooLarge'],
    'more than 128 certificates': [pem(partner).repeat(129), 'TooLarge'],
    'a block without an end': ['-----BEGIN CERTIFICATE-----\nAAAA', 'MalformedPem'],
    'a block that is not base64': ['-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n', 'MalformedPem'],
  };
  for (const [title, [text, code]] of Object.entries(rows)) {
    test(title, () => {
      assert.throws(
        () => readOfferedRoots(text),
        (error) => error instanceof PkiError && error.code === code && !error.message.includes('AAAA'),
      );
    });
  }
});
