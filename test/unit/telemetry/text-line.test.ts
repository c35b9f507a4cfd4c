import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { textLine } from '../../../src/telemetry/text-line.ts';

const timestamp = '2026-11-30T02:10:28.123Z';
const line = (message: string, fields: object = {}, level = 'info') =>
  textLine({ timestamp, level, message, ...fields });
const error = { name: 'KubeError', message: 'no route', code: 'Network', stack: '    at a\n    at b' };

describe('a line of text', () => {
  const lines: [title: string, line: string, expected: string][] = [
    ['ends after a message without fields', line('stopped'), `${timestamp} INFO  stopped`],
    [
      'has its fields in one column, whatever the level',
      [line('a', { b: 'c' }), line('stopped', { b: 'c' }, 'error')].map((text) => text.indexOf('b=c')).join(),
      '76,76',
    ],
    [
      'moves its fields behind a long message',
      line('x'.repeat(60), { a: 1 }),
      `${timestamp} INFO  ${'x'.repeat(60)} a=1`,
    ],
    [
      'shows plain values as they are, and quotes others',
      line('m', { a: 'shop/payments', b: 'two words', c: '', d: 3, e: null, f: ['x'], g: { h: true }, i: 'j=k' }).slice(
        76,
      ),
      'a=shop/payments b="two words" c="" d=3 e=null f=["x"] g={"h":true} i="j=k"',
    ],
    [
      'shows an error with its code and its causes',
      line('m', { error: { ...error, cause: { name: 'Error', message: 'ENOENT', stack: '    at c' } } }, 'warn').slice(
        76,
      ),
      'error="Network: no route: Error: ENOENT"',
    ],
    [
      'shows the stack of an error below a line of the level error',
      line('m', { error }, 'error').slice(76),
      'error="Network: no route"\n    at a\n    at b',
    ],
    [
      'escapes characters that a terminal interprets',
      line('a\n\u001b[31m\u009b', { b: '\u001b\u202e', 'c\r': 1 }).replaceAll(/ +/g, ' '),
      `${timestamp} INFO a\\u000a\\u001b[31m\\u009b b=\\u001b\\u202e c\\u000d=1`,
    ],
  ];
  for (const [title, actual, expected] of lines) test(title, () => assert.equal(actual, expected));
});
