import { describe } from 'node:test';
import { encodePrivateKey } from '../../../../src/pki/index.ts';
import type { SecretStep } from '../../../../src/plan/index.ts';
import { notReady, ready } from '../../../support/fixtures/authority.ts';
import { type CertificateFixture, certificate } from '../../../support/fixtures/certificate.ts';
import { encodedRoot, intermediate, privateKey, root } from '../../../support/fixtures/roots.ts';
import { withData } from '../../../support/fixtures/secret.ts';
import { blocked, issue, marks, messages } from './certificate-steps.ts';
import { authority, check, fresh, issued, signer } from './certificate-table.ts';

describe('a certificate that tls.crt still holds is written again, and none is issued', () => {
  const restore: SecretStep = { step: 'update', restores: true, metadata: marks() };
  const issuing = intermediate(signer);
  const below = fresh.issuedBy(issuing);
  const textOf = (given: CertificateFixture): string =>
    Buffer.from(given.secret('server').data?.['tls.crt'] ?? '', 'base64').toString();
  const [leaf = '', ca = ''] = textOf(below).split(/(?<=-----END CERTIFICATE-----\n)/);
  const changes: [title: string, given: CertificateFixture, text: string][] = [
    ['when a root was put behind it', issued, textOf(issued) + encodedRoot(signer).crt],
    ['when a certificate was put before it', issued, textOf(certificate().issuedBy(root())) + textOf(issued)],
    ['when text was put behind it', issued, `${textOf(issued)}\n`],
    ['when the ends of its lines were changed', issued, textOf(issued).replaceAll('\n', '\r\n')],
    ['when it stands behind its intermediate', below, ca + leaf],
    ['when it is there twice', below, leaf + leaf + ca],
  ];
  for (const [title, given, text] of changes) {
    const damaged = given.whereSecret('server', withData({ 'tls.crt': text }));
    const under = given === below ? ready(issuing) : authority;
    check({ [title]: { given: damaged, under, plan: [restore] } });
  }

  const appended = issued.whereSecret('server', withData({ 'tls.crt': `${textOf(issued)}\n` }));
  const corrupted = 'tls.crt holds more than its certificates';
  const shortened = fresh.issuedBy(issuing).whereSecret('server', withData({ 'tls.crt': leaf }));
  const alone = below.reported(ready(issuing)).whereSecret('server', withData({ 'tls.crt': leaf }));
  check({
    'but not while the root is bad, which would have to vouch for it': {
      given: appended,
      under: notReady('RootExpired', 'x'),
      plan: [blocked('AuthorityNotReady', 'MtlsAuthority default: RootExpired: x')],
    },
    'but the next one is issued where it is due, whose key is new': {
      given: appended.rotating('a'),
      plan: [issue(appended, 'RotationRequested', messages.RotationRequested, { token: 'a' })],
    },
    'but another one is issued where spec asks for another': {
      given: appended.asking({ server: { service: 'other' } }),
      plan: [issue(appended.asking({ server: { service: 'other' } }), 'SecretCorrupted', corrupted)],
    },
    'but another one for the same key is issued where its intermediate is gone': {
      given: alone,
      under: ready(issuing),
      plan: [issue(alone, 'RootNotTrusted', messages.RootNotTrusted, { keepKey: true })],
    },
    'but another one for another key is issued where its key is gone, too': {
      given: shortened,
      under: ready(issuing),
      plan: [issue(shortened, 'SecretCorrupted', 'the private key does not belong to the certificate')],
    },
  });
});

describe('a certificate that is gone is issued again for the key in place', () => {
  const known = issued.reported(authority);
  const lost = known.whereSecret('server', withData({ 'tls.crt': undefined }));
  const replaced = lost.whereSecret('server', withData({ 'tls.key': encodePrivateKey(privateKey(), 'PKCS8') }));
  const gone = 'tls.crt holds no certificate';
  check({
    'when it is the key of the certificate that the operator has written': {
      given: lost,
      plan: [issue(lost, 'SecretCorrupted', gone, { keepKey: true })],
    },
    'but not when another writer has put another key there, which it knows': {
      given: replaced,
      plan: [issue(replaced, 'SecretCorrupted', gone)],
    },
    'but not when nothing says whose key it is': {
      given: issued.whereSecret('server', withData({ 'tls.crt': undefined })),
      plan: [issue(issued, 'SecretCorrupted', gone)],
    },
    'but not when a person has asked for another key meanwhile': {
      given: lost.rotating('a'),
      plan: [issue(lost, 'SecretCorrupted', gone, { token: 'a' })],
    },
  });
});
