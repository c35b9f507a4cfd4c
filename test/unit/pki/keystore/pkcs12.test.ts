import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { createSecureContext } from 'node:tls';
import { readAll, tags } from '../../../../src/pki/asn1/der.ts';
import {
  describeKeySpec,
  encodeKeystore,
  encodePrivateKey,
  encodePublicTruststore,
  encodeTruststore,
  keystorePasswordProblem,
  PkiError,
  parsePrivateKey,
} from '../../../../src/pki/index.ts';
import { keystoreSeeds } from '../../../../src/pki/keystore/keystore-seeds.ts';
import { privateKey } from '../../../support/fixtures/roots.ts';
import { scratchFile } from '../../../support/openssl.ts';
import { run } from '../../../support/peers/process.ts';
import * as fc from '../../../support/properties.ts';
import type { StoreFile } from '../../../support/stores/judge.ts';
import { openssl } from '../../../support/stores/judges.ts';
import { everyCharacter, keyAndChain, keyKinds, someRoots } from '../../../support/stores/samples.ts';

const { key, chain } = keyAndChain(undefined, 2);
const [root, otherRoot] = [someRoots(1), someRoots(1)];
const password = 'changeit';

const saved = (kind: StoreFile['kind'], store: Buffer): StoreFile => {
  const path = scratchFile();
  writeFileSync(path, store, { mode: 0o600 });
  return { kind, path, password };
};

const whatOpensslSays = async (store: Buffer): Promise<string[]> => {
  const { path } = saved('keystore', store);
  const { code, stderr } = await run(['openssl', 'pkcs12', '-info', '-in', path, '-noout', '-passin', 'pass:changeit']);
  assert.equal(code, 0, stderr);
  return stderr.trim().split('\n');
};

describe('openssl confirms', () => {
  const mac = ['MAC: sha256, Iteration 2048', 'MAC length: 32, salt length: 16'];
  const encryption = 'PBES2, PBKDF2, AES-256-CBC, Iteration 10000, PRF hmacWithSHA256';

  test('the encryption and the content of a keystore', async () => {
    assert.deepEqual(await whatOpensslSays(await encodeKeystore(key, chain, password)), [
      ...mac,
      'PKCS7 Data',
      `Shrouded Keybag: ${encryption}`,
      `PKCS7 Encrypted data: ${encryption}`,
      ...chain.map(() => 'Certificate bag'),
    ]);
  });

  test('the encryption and the content of a truststore', async () => {
    assert.deepEqual(await whatOpensslSays(await encodeTruststore([...root, ...otherRoot], password, key)), [
      ...mac,
      `PKCS7 Encrypted data: ${encryption}`,
      'Certificate bag',
      'Certificate bag',
    ]);
  });
});

/** The tag of an explicit [0], in which RFC 7292 and RFC 5652 wrap typed content. */
const explicit = 0xa0;

/** The salts and initialisation vectors of a store: all its strings of 16 octets. */
function seedsIn(der: Buffer, parent?: number): string[] {
  return readAll(der).flatMap(({ tag, content }) => {
    if (tag === tags.octetString && content.length === 16) return [content.toString('hex')];
    // Any other OCTET STRING is an encrypted key or a MAC, and may look like DER by chance.
    const isNested = tag === tags.octetString && parent === explicit;
    return isNested || tag === tags.sequence || tag === explicit ? seedsIn(content, tag) : [];
  });
}

describe('a store', () => {
  for (const spec of keyKinds) {
    test(`has equal octets for equal content, for a ${describeKeySpec(spec)} key in any encoding`, async () => {
      const made = keyAndChain(spec, 1);
      const keyStore = await encodeKeystore(made.key, made.chain, password);
      const trustStore = await encodeTruststore(root, password, made.key);
      for (const encoding of ['PKCS8', 'PKCS1', 'SEC1'] as const) {
        if (encoding === 'PKCS1' && spec.algorithm !== 'RSA') continue;
        if (encoding === 'SEC1' && spec.algorithm !== 'ECDSA') continue;
        const read = parsePrivateKey(encodePrivateKey(made.key, encoding)).key;
        assert.ok(keyStore.equals(await encodeKeystore(read, made.chain, password)), encoding);
        assert.ok(trustStore.equals(await encodeTruststore(root, password, read)), encoding);
      }
    });
  }

  test('shares no salt and no vector with a store that differs in any argument', async () => {
    const renewed = keyAndChain();
    const another = privateKey();
    const stores = await Promise.all([
      encodeKeystore(key, chain, password),
      encodeKeystore(key, chain, `${password}.`),
      encodeKeystore(key, chain.slice(0, 2), password),
      encodeKeystore(renewed.key, renewed.chain, password),
      encodeTruststore(root, password, key),
      encodeTruststore(root, `${password}.`, key),
      encodeTruststore(otherRoot, password, key),
      encodeTruststore([...root, ...otherRoot], password, key),
      encodeTruststore([...otherRoot, ...root], password, key),
      encodeTruststore(root, password, another),
    ]);
    const seeds = stores.map((store) => seedsIn(store));
    // A salt and a vector each for the key and for the certificates, and a salt for the MAC.
    assert.deepEqual(
      seeds.map(({ length }) => length),
      [5, 5, 5, 5, 3, 3, 3, 3, 3, 3],
    );
    assert.equal(new Set(seeds.flat()).size, seeds.flat().length);
  });

  test('derives different salts from lists of parts with the same concatenation', () => {
    const salts = [['ab', 'c'], ['a', 'bc'], ['abc'], ['abc', '']].map((parts) =>
      keystoreSeeds(key, parts).salt('mac'),
    );
    assert.equal(new Set(salts.map((salt) => salt.toString('hex'))).size, salts.length);
  });

  test('works in Node.js, and contains its key only encrypted', async () => {
    const store = await encodeKeystore(key, chain, password);
    assert.ok(createSecureContext({ pfx: store, passphrase: password }));
    assert.throws(() => createSecureContext({ pfx: store, passphrase: 'another' }), /mac verify failure/);
    const scalar = Buffer.from(String(key.export({ format: 'jwk' }).d), 'base64url');
    assert.ok(!store.includes(scalar));
  });
});

describe('a store is refused', () => {
  const isInvalid = (words: RegExp) => (error: unknown) =>
    error instanceof PkiError && error.code === 'InvalidRequest' && words.test(error.message);

  test('without a chain', async () => assert.rejects(encodeKeystore(key, [], password), isInvalid(/chain/)));
  test('with a chain that does not begin with the certificate of the key', async () =>
    assert.rejects(encodeKeystore(key, chain.slice(1), password), isInvalid(/chain/)));
  test('with the key of another certificate', async () =>
    assert.rejects(encodeKeystore(privateKey(), chain, password), isInvalid(/chain/)));
  test('without a root', async () => assert.rejects(encodeTruststore([], password, key), isInvalid(/root/)));
  test('with an invalid password', async () => {
    await assert.rejects(encodeKeystore(key, chain, ''), isInvalid(/empty/));
    await assert.rejects(encodeTruststore(root, '', key), isInvalid(/empty/));
  });
});

describe('a password', () => {
  const valid: [title: string, text: string][] = [
    ['of one character', 'x'],
    ['of every printable character', everyCharacter],
    ['with spaces around it', ' two words '],
    ['of 256 characters', 'x'.repeat(256)],
  ];
  for (const [title, text] of valid) {
    test(`${title} is accepted`, () => assert.equal(keystorePasswordProblem(text), undefined));
  }

  const invalid: [title: string, text: string, problem: RegExp][] = [
    ['that is empty', '', /empty/],
    ['that is only a line break', '\n', /line break/],
    ['with a line break at its end', 'changeit\n', /ends with a line break/],
    ['with a Windows line break at its end', 'changeit\r\n', /ends with a line break/],
    ['with a line break inside', 'change\nit', /ASCII/],
    ['with a tab', 'change\tit', /ASCII/],
    ['with a NUL', 'changeit\0', /ASCII/],
    ['with DEL', 'changeit\x7f', /ASCII/],
    ['with an umlaut', 'pässword', /ASCII/],
    ['in Cyrillic', 'пароль', /ASCII/],
    ['with a character of two code units', '😀changeit', /ASCII/],
    ['with a lone surrogate', '\ud83dchangeit', /ASCII/],
    ['from invalid UTF-8', 'change\ufffdit', /ASCII/],
    ['of 257 characters', 'x'.repeat(257), /257 characters.*at most 256/],
  ];
  for (const [title, text, problem] of invalid) {
    test(`${title} is refused with a message that does not quote it`, () => {
      const message = keystorePasswordProblem(text) ?? '';
      assert.match(message, problem);
      assert.ok(text.trim() === '' || !message.includes(text.trim()));
    });
  }

  test('opens the store in openssl, or is refused, for random texts', async () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 300 }),
      fc.tuple(fc.string(), fc.constantFrom('\n', '\r', '\0', '\t', 'é')).map(([text, end]) => text + end),
    );
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        if (keystorePasswordProblem(text) !== undefined) {
          await assert.rejects(encodeTruststore(root, text, key), PkiError);
          return;
        }
        const stores = [
          { ...saved('keystore', await encodeKeystore(key, chain, text)), password: text },
          { ...saved('truststore', await encodeTruststore(root, text, key)), password: text },
        ];
        const fingerprints = [chain, root].map((list) => list.map(({ fingerprint }) => fingerprint));
        const readings = await openssl.read(stores);
        assert.deepEqual(
          readings.map((reading) => ('error' in reading ? reading.error : reading.certificates)),
          fingerprints,
        );
      }),
      { numRuns: 30 },
    );
  });
});

describe('a truststore with a public password', () => {
  const roots = someRoots(2);
  const store = encodePublicTruststore(roots, 'changeit');

  test('has equal octets for equal content', () => assert.deepEqual(encodePublicTruststore(roots, 'changeit'), store));

  test('has other salts for other roots', () =>
    assert.notEqual(saltOf(encodePublicTruststore(roots.slice(1), 'changeit')), saltOf(store)));

  test('has the same salts for another password, so that no salt helps to guess a password', () => {
    const other = encodePublicTruststore(roots, 'another8');
    assert.equal(saltOf(other), saltOf(store));
    assert.notDeepEqual(other, store);
  });

  test('needs a root and a password that every reader accepts', () => {
    assert.throws(() => encodePublicTruststore([], 'changeit'), /needs a root/);
    assert.throws(() => encodePublicTruststore(roots, 'grün'), /Java does not accept/);
  });
});

/** The salt of the MAC: the 16 octets before the count, which are the last fields of a PFX. */
const saltOf = (octets: Buffer): string => octets.subarray(-20, -4).toString('hex');
