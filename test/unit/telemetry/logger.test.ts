import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { encodePrivateKey } from '../../../src/pki/index.ts';
import { inBatches, redact } from '../../../src/telemetry/logger.ts';
import { privateKey } from '../../support/fixtures/roots.ts';
import * as fc from '../../support/properties.ts';

const key = privateKey();
const pem = encodePrivateKey(key, 'PKCS8');
const base64 = Buffer.from(pem).toString('base64');
/** Parts of the key in PEM, base64 and hex. A line that contains one of them leaks the key. */
const traces = [pem, base64, Buffer.from(pem).toString('hex')].flatMap((text) => {
  const middle = text.replaceAll(/-----.*-----/g, '').trim();
  return [middle.slice(40, 60), middle.slice(70, 90), middle.slice(-25, -5)].filter((trace) => !trace.includes('\n'));
});

const lineOf = (value: unknown): string => JSON.stringify({ message: 'm', value }, redact);
const shows = (line: string): boolean => traces.some((trace) => line.includes(trace));

test('the log writes the first line at once, and the lines that follow in the same turn together and in order', async () => {
  const writes: string[] = [];
  const lines = inBatches({ write: (text: string | Uint8Array) => writes.push(String(text)) > 0 });
  for (const line of ['a\n', 'b\n', 'c\n']) lines.write(line);
  assert.deepEqual(writes, ['a\n']);
  await new Promise<void>((resolve) => lines.end('d\n', () => resolve()));
  assert.deepEqual(writes, ['a\n', 'b\nc\nd\n']);
});

describe('a line of the log', () => {
  test('contains the traces of the key when nothing is redacted', () => {
    assert.ok(traces.length >= 6);
    assert.ok(shows(JSON.stringify({ pem })) && shows(JSON.stringify({ base64 })));
  });

  const values: [title: string, value: unknown][] = [
    ['as a string', pem],
    ['within a longer string', `cannot parse ${pem}, sorry`],
    ['that is truncated', pem.slice(0, 150)],
    ['in SEC1 encoding', encodePrivateKey(key, 'SEC1')],
    ['in JSON in a string', JSON.stringify({ pem })],
    ['in base64, as in the data of a Secret', `Invalid value: "${base64}"`],
    ['as bytes', Buffer.from(pem)],
    ['as an array of bytes', new Uint8Array(Buffer.from(pem))],
    ['as a key object', key],
    ['in the data of a Secret', { metadata: { name: 'a' }, data: { 'tls.key': base64, other: 'x' } }],
    ['in the message of an error', new Error(`bad key ${pem}`)],
    ['in the cause of an error', new Error('a', { cause: new Error(pem) })],
    ['in a cause that is a string', new Error('a', { cause: pem })],
    ['in a cause that is an object', new Error('a', { cause: { request: { body: pem } } })],
    ['in properties of an error', Object.assign(new Error('a'), { request: { body: pem }, response: pem })],
    ['in an error of an AggregateError', new AggregateError([new Error(pem)], 'many')],
    ['in a map', new Map([['key', pem]])],
    ['deep inside an object', [{ a: [{ b: { c: pem } }] }]],
    ['in the result of toJSON', { toJSON: () => ({ pem }) }],
  ];
  for (const [title, value] of values) {
    test(`does not show a private key ${title}`, () => assert.ok(!shows(lineOf(value))));
  }

  const named = [
    'password',
    'token',
    'bearerToken',
    'Authorization',
    'clientPassphrase',
    'privateKey',
    'tls.key',
    'data',
  ];
  for (const name of named) {
    test(`does not show the value of a field named ${name}`, () => {
      assert.equal(lineOf({ [name]: 'hunter2' }), '{"message":"m","value":{"' + name + '":"[redacted]"}}');
      assert.equal(lineOf({ [name]: undefined }), '{"message":"m","value":{}}');
    });
  }

  test('shows values that are not secret', () => {
    const value = { namespace: 'shop', attempts: 3, none: null, list: ['a'], when: new Date(0) };
    assert.deepEqual(JSON.parse(lineOf(value)), {
      message: 'm',
      value: { ...value, when: '1970-01-01T00:00:00.000Z' },
    });
    assert.match(lineOf('-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----'), /BEGIN CERTIFICATE/);
    assert.equal(lineOf(12n), '{"message":"m","value":"12"}');
  });

  test('shows the name, message, code, stack frames and causes of an error', () => {
    const cause = Object.assign(new TypeError('inner'), { code: 'EINNER' });
    const { value } = JSON.parse(lineOf(new Error('outer', { cause }))) as { value: Record<string, unknown> };
    assert.deepEqual(Object.keys(value), ['name', 'message', 'stack', 'cause']);
    assert.match(String(value['stack']), /^\s+at .*logger\.test\.ts/);
    assert.deepEqual([value['name'], value['message']], ['Error', 'outer']);
    const inner = value['cause'] as Record<string, unknown>;
    assert.deepEqual([inner['name'], inner['message'], inner['code']], ['TypeError', 'inner', 'EINNER']);
  });

  test('is finite when the causes of an error form a cycle', () => {
    const error = new Error('a');
    error.cause = new Error('b', { cause: error });
    assert.ok(lineOf(error).length < 50_000);
  });

  test('does not show a private key anywhere in a random value', () => {
    const texts = fc.tuple(fc.string(), fc.string()).map(([before, after]) => before + pem + after);
    const anything = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 5 },
        texts,
        fc.constantFrom(base64, Buffer.from(pem), key),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(fc.string(), tie('value'), { maxKeys: 3 }),
        fc.tuple(texts, tie('value')).map(([message, cause]) => new Error(message, { cause })),
        tie('value').map((body) => Object.assign(new Error('a'), { body })),
      ),
    })).value;
    fc.assert(
      fc.property(anything, (value) => assert.ok(!shows(lineOf(value)))),
      { numRuns: 500 },
    );
  });
});

/** The lines that a program with a log prints, without those of `print`, and the base64 of a key that it logs. */
function linesOfProgram(form: 'json' | 'text'): { lines: string[]; body: string } {
  const logger = new URL('../../../src/telemetry/logger.ts', import.meta.url).href;
  // The program generates the key itself, because other users can read a command line.
  const program = `
    import { generateKeyPairSync } from 'node:crypto';
    import { createLog } from ${JSON.stringify(logger)};
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
    const log = createLog('info', '${form}');
    log.debug('not this');
    log.info('one', { resource: 'shop/payments', attempts: 2 });
    log.error('two ' + pem, { error: new Error(pem, { cause: new Error(pem) }), data: { 'tls.key': pem } });
    log.child({ controller: 'certificate' }).warn('three', { message: pem });
    process.on('exit', () => console.log(JSON.stringify({ body: pem.split('\\n')[1] })));
  `;
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  const lines = output.trim().split('\n');
  const { body } = JSON.parse(lines.pop() ?? '{}') as { body: string };
  assert.ok(body.length > 40);
  return { lines, body };
}

test('the logger writes JSON lines of its level and above to standard output, without keys', () => {
  const { lines, body } = linesOfProgram('json');
  const logged = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    logged.map(({ level, message }) => [level, String(message).split(' ')[0]]),
    [
      ['info', 'one'],
      ['error', 'two'],
      ['warn', 'three'],
    ],
  );
  assert.deepEqual([logged[0]?.['resource'], logged[0]?.['attempts']], ['shop/payments', 2]);
  assert.ok(logged.every(({ timestamp }) => !Number.isNaN(Date.parse(String(timestamp)))));
  assert.equal(logged[2]?.['controller'], 'certificate');
  assert.ok(!lines.join('').includes(body.slice(20, 40)));
});

test('the logger writes lines of text with the same redaction', () => {
  const { lines, body } = linesOfProgram('text');
  const [one = '', two = '', ...rest] = lines;
  assert.match(one, /^\S+Z INFO {2}one +attempts=2 resource=shop\/payments$/);
  assert.match(
    two,
    /^\S+Z ERROR two \[redacted\].* data="\[redacted\]" error="Error: \[redacted\].*: Error: \[redacted\]/,
  );
  const stack = rest.slice(0, -1);
  assert.ok(stack.length > 0 && stack.every((line) => line.startsWith('    at ')), stack.join('\n'));
  assert.match(rest.at(-1) ?? '', /^\S+Z WARN {2}three \[redacted\].* controller=certificate$/);
  assert.ok(!lines.join('').includes(body.slice(20, 40)));
});
