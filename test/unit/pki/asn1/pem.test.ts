import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodePem, maxPemBytes, parsePem } from '../../../../src/pki/asn1/pem.ts';
import * as fc from '../../../support/properties.ts';
import { onlyPkiErrors, throwsCode } from '../expect.ts';

const block = '-----BEGIN X-----\nAAEC\n-----END X-----\n';
const octets = { label: 'X', der: Buffer.of(0, 1, 2) };

describe('PEM is read', () => {
  const texts: [title: string, text: string, count: number][] = [
    ['without any block', '', 0],
    ['with text but no block', 'hello', 0],
    ['with one block', block, 1],
    ['with several blocks', block + block, 2],
    ['with text before, between and after blocks', `a\n${block}b\n${block}c`, 2],
    ['with Windows line ends', block.replaceAll('\n', '\r\n'), 1],
    ['with spaces and tabs in the body', block.replace('AAEC', ' AA\tEC '), 1],
    ['on a single line', block.replaceAll('\n', ''), 1],
    ['without the last line end', block.trimEnd(), 1],
  ];
  for (const [title, text, count] of texts) {
    test(title, () =>
      assert.deepEqual(
        parsePem(text),
        Array.from({ length: count }, () => octets),
      ),
    );
  }

  test('back as it was written, in lines of 64 characters', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        const text = encodePem('SOME THING', bytes);
        assert.deepEqual(parsePem(text), [{ label: 'SOME THING', der: Buffer.from(bytes) }]);
        assert.ok(text.split('\n').every((line) => line.length <= 64) && text.endsWith('-----\n'));
      }),
    );
  });
});

describe('PEM is refused', () => {
  const malformed: [title: string, text: string][] = [
    ['when a block has no END line', '-----BEGIN X-----\nAAEC\n'],
    ['when the END line has another label', '-----BEGIN X-----\nAAEC\n-----END Y-----\n'],
    ['when the BEGIN line is truncated', '-----BEGIN X'],
    ['when the label is empty', '-----BEGIN -----\nAAEC\n-----END -----\n'],
    ['when the label contains a line break', '-----BEGIN X\nY-----\nAAEC\n-----END X\nY-----\n'],
    [
      'when the label has more than 64 characters',
      `-----BEGIN ${'X'.repeat(65)}-----\nAAEC\n-----END ${'X'.repeat(65)}-----\n`,
    ],
    ['when the body is empty', '-----BEGIN X-----\n-----END X-----\n'],
    ['when the body is not base64', '-----BEGIN X-----\nAA_C\n-----END X-----\n'],
    ['when the body has padding in the middle', '-----BEGIN X-----\nAA==AAEC\n-----END X-----\n'],
    ['when a block begins inside another', `-----BEGIN X-----\n${block}-----END X-----\n`],
    ['when a header precedes the body', '-----BEGIN X-----\nComment: a\n\nAAEC\n-----END X-----\n'],
    ['when the second block is broken', `${block}-----BEGIN X-----\n`],
  ];
  for (const [title, text] of malformed) test(title, () => throwsCode('MalformedPem', () => parsePem(text)));

  test('as an encrypted key when its header says so', () => {
    const header = 'Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n';
    throwsCode('EncryptedKey', () =>
      parsePem(`-----BEGIN RSA PRIVATE KEY-----\n${header}AAEC\n-----END RSA PRIVATE KEY-----\n`),
    );
  });

  test('above one megabyte, before it is parsed', () => {
    throwsCode('TooLarge', () => parsePem('-----BEGIN '.repeat(1024 * 1024)));
    throwsCode('TooLarge', () => parsePem('a'.repeat(maxPemBytes + 1)));
    assert.deepEqual(parsePem('a'.repeat(maxPemBytes)), []);
  });

  // The largest accepted texts, built to be slow: with more than one pass, these tests would take minutes.
  const hostile: [title: string, text: string][] = [
    ['of BEGIN lines', '-----BEGIN X-----\n'.repeat(58_000)],
    ['of BEGIN lines with one END line', `${'-----BEGIN X-----\n'.repeat(58_000)}-----END X-----`],
    ['of dashes', '-'.repeat(maxPemBytes)],
    [
      'of a body with an invalid last character',
      `-----BEGIN X-----\n${'A'.repeat(maxPemBytes - 100)}!\n-----END X-----`,
    ],
    ['of padding', `-----BEGIN X-----\n${'='.repeat(maxPemBytes - 100)}\n-----END X-----`],
    ['of white space', `-----BEGIN X-----\n${' '.repeat(maxPemBytes - 100)}\n-----END X-----`],
  ];
  for (const [title, text] of hostile) {
    test(`in one pass, a megabyte ${title}`, { timeout: 30_000 }, () => onlyPkiErrors(() => parsePem(text)));
  }

  test('with PkiError only, for random texts', () => {
    const pieces = fc.constantFrom('-----BEGIN ', '-----END ', '-----', 'X', '\n', 'AAEC', '=', 'Proc-Type:', ' ');
    const texts = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.array(pieces).map((all) => all.join('')),
    );
    fc.assert(
      fc.property(texts, (text) => onlyPkiErrors(() => parsePem(text))),
      { numRuns: 2000 },
    );
  });
});
