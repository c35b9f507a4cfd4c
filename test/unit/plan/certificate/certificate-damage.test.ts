import { describe } from 'node:test';
import { encodePrivateKey } from '../../../../src/pki/index.ts';
import type { SecretStep } from '../../../../src/plan/index.ts';
import { notReady, ready } from '../../../support/fixtures/authority.ts';
import { type CertificateFixture, certificate } from '../../../support/fixtures/certificate.ts';
import { encodedRoot, intermediate, privateKey, root } from '../../../support/fixtures/roots.ts';
import { withData } from '../../../support/fixtures/secret.ts';
import { blocked, issue, marks, messages } from './certificate-steps.ts';
import { authority, check, fresh, issued, signer } from './certificate-table.ts';

describe('tls.crt that holds the certificate in a damaged form is rewritten without a new certificate', () => {
  const restore: SecretStep = { step: 'update', restores: true, metadata: marks() };
  const issuing = intermediate(signer);
  const below = fresh.issuedBy(issuing);
  const textOf = (given: CertificateFixture): string =>
    Buffer.from(given.secret('server').data?.['tls.crt'] ?? '', 'base64').toString();
  const [leaf = '', ca = ''] = textOf(below).split(/(?<=-----END CERTIFICATE-----\n)/);
  const changes: [title: string, given: CertificateFixture, text: string][] = [
    ['when a root was appended', issued, textOf(issued) + encodedRoot(signer).crt],
    ['when a certificate was prepended', issued, textOf(certificate().issuedBy(root())) + textOf(issued)],
    ['when text was appended', issued, `${textOf(issued)}\n`],
    ['when its line endings were changed', issued, textOf(issued).replaceAll('\n', '\r\n')],
    ['when it follows its intermediate', below, ca + leaf],
    ['when it occurs twice', below, leaf + leaf + ca],
  ];
  for (const [title, given, text] of changes) {
    const damaged = given.whereSecret('server', withData({ 'tls.crt': text }));
    const under = given === below ? ready(issuing) : authority;
    check({ [title]: { given: damaged, under, plan: [restore] } });
  }

  const appended = issued.whereSecret('server', withData({ 'tls.crt': `${textOf(issued)}\n` }));
  const corrupted = 'tls.crt holds other text than its certificates';
  const shortened = fresh.issuedBy(issuing).whereSecret('server', withData({ 'tls.crt': leaf }));
  const alone = below.reported(ready(issuing)).whereSecret('server', withData({ 'tls.crt': leaf }));
  check({
    'but not while the root, which has to verify it, may not sign': {
      given: appended,
      under: notReady('RootExpired', 'x'),
      plan: [blocked('AuthorityNotReady', 'MtlsAuthority default: RootExpired: x')],
    },
    'but when a new certificate is due, that is issued with a new key': {
      given: appended.rotating('a'),
      plan: [issue(appended, 'RotationRequested', messages.RotationRequested, { token: 'a' })],
    },
    'but when spec has changed, a new certificate is issued': {
      given: appended.asking({ server: { service: 'other' } }),
      plan: [issue(appended.asking({ server: { service: 'other' } }), 'SecretCorrupted', corrupted)],
    },
    'but when its intermediate is gone, a new certificate is issued for the same key': {
      given: alone,
      under: ready(issuing),
      plan: [issue(alone, 'RootNotTrusted', messages.RootNotTrusted, { keepKey: true })],
    },
    'but when its key is gone too, a new certificate is issued for a new key': {
      given: shortened,
      under: ready(issuing),
      plan: [issue(shortened, 'SecretCorrupted', 'the private key does not belong to the certificate')],
    },
  });
});

describe('a deleted certificate is issued again for the current key', () => {
  const known = issued.reported(authority);
  const lost = known.whereSecret('server', withData({ 'tls.crt': undefined }));
  const replaced = lost.whereSecret('server', withData({ 'tls.key': encodePrivateKey(privateKey(), 'PKCS8') }));
  const gone = 'tls.crt holds no certificate';
  check({
    'when that is the key of the certificate that the operator wrote': {
      given: lost,
      plan: [issue(lost, 'SecretCorrupted', gone, { keepKey: true })],
    },
    'but not when another client has replaced the key, which it knows': {
      given: replaced,
      plan: [issue(replaced, 'SecretCorrupted', gone)],
    },
    'but not when the origin of the key is unknown': {
      given: issued.whereSecret('server', withData({ 'tls.crt': undefined })),
      plan: [issue(issued, 'SecretCorrupted', gone)],
    },
    'but not when a user has requested a rotation in the meantime': {
      given: lost.rotating('a'),
      plan: [issue(lost, 'SecretCorrupted', gone, { token: 'a' })],
    },
  });
});
