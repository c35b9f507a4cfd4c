import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { annotations, outputKeys, secretKeys } from '../../../../src/api/constants.ts';
import type { Outputs } from '../../../../src/api/types.ts';
import { outputsDigest } from '../../../../src/controllers/objects/output-data.ts';
import { requestedOutputs } from '../../../../src/plan/certificate/secret-outputs.ts';
import {
  encodeOutputsRecord,
  type KeystorePassword,
  type OutputKey,
  type OutputsStep,
  parseOutputsRecord,
} from '../../../../src/plan/index.ts';
import { notReady, ready } from '../../../support/fixtures/authority.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { withData, withMarks } from '../../../support/fixtures/secret.ts';
import { blocked, create, deniedName, issue, keep, messages, stays, update } from './certificate-steps.ts';
import { authority, check, fresh, issued, signer } from './certificate-table.ts';

const { combinedPem, der, keystore, truststore } = outputKeys;
const stores = [keystore, truststore] as const;
const pkcs12: Outputs = { pkcs12: { passwordSecretRef: { name: 'store-password', key: 'password' } } };
const found: KeystorePassword = { state: 'found', version: 'uid/7/password' };
const password = { secretName: 'store-password', key: 'password', version: 'uid/7/password' };

/** The Secret after these outputs were written. A plan does not read their bytes. */
function having(given: typeof issued, keys: readonly OutputKey[], version?: string): typeof issued {
  const data = Object.fromEntries(keys.map((key) => [key, `the bytes of ${key}`]));
  const withBytes = given.whereSecret('server', withData(data));
  const digest = outputsDigest(withBytes.secret('server').data ?? {}, keys);
  const note = encodeOutputsRecord({ keys, ...(version === undefined ? {} : { password: version }), digest });
  return withBytes.whereSecret('server', withMarks('annotations', { [annotations.outputs]: note }));
}

const updateWith = (outputs: OutputsStep) => ({ ...update(), outputs });
const asking = (outputs: Outputs) => issued.asking({ outputs });
const withStores = having(asking(pkcs12), stores, found.version).wherePasswordIs(found);
const tamperedWith = (key: string, given = withStores) => given.whereSecret('server', withData({ [key]: 'x' }));
const other = root({ name: 'Other' });

describe('outputs', () => {
  check({
    'are written with the certificate': {
      given: fresh.asking({ outputs: { combinedPEM: true, der: true } }),
      plan: [{ ...create(fresh), outputs: { keys: [combinedPem, der], removed: [] } }],
    },
    'are added to an existing certificate': {
      given: asking({ der: true }),
      plan: [updateWith({ keys: [der], removed: [] })],
    },
    'are empty when none is requested': { given: asking({ combinedPEM: false, der: false }), plan: [keep] },
    'are kept when present': { given: having(asking({ der: true }), [der]), plan: [keep] },
    'that are no longer requested are removed': {
      given: having(asking({ der: true }), [combinedPem, der]),
      plan: [updateWith({ keys: [der], removed: [combinedPem] })],
    },
    'are all removed when none is requested any more': {
      given: having(issued, [der, ...stores], found.version),
      plan: [updateWith({ keys: [], removed: [der, keystore, truststore] })],
    },
    'are written again after another client changed them': {
      given: tamperedWith(der, having(asking({ der: true }), [der])),
      plan: [updateWith({ keys: [der], removed: [] })],
    },
    'are written again after another client removed them': {
      given: having(asking({ der: true }), [der]).whereSecret('server', withData({ [der]: undefined })),
      plan: [updateWith({ keys: [der], removed: [] })],
    },
    'are written again after their annotation was removed': {
      given: having(asking({ der: true }), [der]).whereSecret(
        'server',
        withMarks('annotations', { [annotations.outputs]: undefined }),
      ),
      plan: [updateWith({ keys: [der], removed: [] })],
    },
    'are updated when the roots change': {
      given: having(asking({ der: true }), [der]),
      under: ready(signer, other),
      plan: [updateWith({ keys: [der], removed: [] })],
    },
    'wait for a root that may sign': {
      given: asking({ der: true }),
      under: notReady('RootExpired', 'expired'),
      plan: [keep],
    },
    'are generated again with the next certificate': {
      given: having(asking({ der: true }), [der]).rotating('t1'),
      plan: [
        {
          ...issue(issued, 'RotationRequested', messages.RotationRequested, { token: 't1' }),
          outputs: { keys: [der], removed: [] },
        },
      ],
    },
  });
});

describe('keystore and truststore', () => {
  const writeStores = updateWith({ keys: stores, removed: [], password });
  const missing = 'Secret store-password with the password of the keystores (key password) does not exist; create it';
  const lost = withStores.wherePasswordIs({ state: 'missing' });
  check({
    'are generated with the password that spec refers to': {
      given: asking(pkcs12).wherePasswordIs(found),
      plan: [writeStores],
    },
    'are kept while the password is the same': { given: withStores, plan: [keep] },
    'are written again when the password changes': {
      given: having(asking(pkcs12), stores, 'uid/6/password').wherePasswordIs(found),
      plan: [writeStores],
    },
    'are repaired when the keystore was changed': { given: tamperedWith(keystore), plan: [writeStores] },
    'are repaired when the truststore was changed': { given: tamperedWith(truststore), plan: [writeStores] },
    'are not planned before the Secrets with passwords are listed': {
      given: asking(pkcs12).wherePasswordIs({ state: 'unknown' }),
      plan: [],
    },
    'are not generated without a password, and no certificate is issued': {
      given: fresh.asking({ outputs: pkcs12 }).wherePasswordIs({ state: 'missing' }),
      plan: [blocked('KeystorePasswordNotFound', missing)],
    },
    'are kept when the password is lost': { given: lost, plan: [keep] },
    'block a rotation when the password is lost, while the current certificate still works': {
      given: lost.rotating('t1'),
      plan: [blocked('KeystorePasswordNotFound', missing, { canWait: true })],
    },
    'block a change of roots when the password is lost': {
      given: lost,
      under: ready(signer, other),
      plan: [blocked('KeystorePasswordNotFound', missing)],
    },
    'are removed without a password': {
      given: having(issued, stores, found.version),
      plan: [updateWith({ keys: [], removed: stores })],
    },
    'get the current roots although the certificate may not be renewed': {
      given: withStores.asking({ server: { dnsNames: ['no.example.org'] }, outputs: pkcs12 }),
      under: ready(signer, other),
      plan: [
        {
          step: 'update',
          metadata: { labels: {}, annotations: {} },
          outputs: { keys: stores, removed: [], password },
          blocked: {
            step: 'blocked',
            reason: 'Denied',
            message: deniedName('no.example.org') + stays,
            canWait: false,
          },
        },
      ],
    },
  });

  test('a Secret with changed keystores does not count as holding a bundle in a rotation of the root', () => {
    assert.ok(withStores.secretRecord('server', authority).content.bundle !== undefined);
    for (const key of [...stores, secretKeys.bundle]) {
      assert.equal(tamperedWith(key).secretRecord('server', authority).content.bundle, undefined, key);
    }
  });
});

describe('the record of outputs', () => {
  test('decodes to the encoded value', () => {
    const note = { keys: [der, keystore], password: 'a/1/b', digest: 'd' } as const;
    assert.deepEqual(parseOutputsRecord(encodeOutputsRecord(note)), note);
  });

  for (const annotation of [undefined, '', '{', 'null', '[]', '7', '{"keys":"key.der","digest":"d"}', '{"keys":[]}']) {
    test(`is empty when the annotation is ${JSON.stringify(annotation)}`, () => {
      assert.deepEqual(parseOutputsRecord(annotation), { keys: [], digest: '' });
    });
  }

  test('lists only outputs of the operator', () => {
    const { keys } = parseOutputsRecord('{"keys":["tls.key","mine","key.der",1],"digest":"d"}');
    assert.deepEqual(keys, [der]);
  });

  test('can list every output', () => {
    assert.deepEqual(
      requestedOutputs({ ...issued.record.spec, outputs: { combinedPEM: true, der: true, ...pkcs12 } }),
      [combinedPem, der, ...stores],
    );
  });
});
