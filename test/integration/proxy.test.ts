import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { describeProxy, proxyFromEnvironment } from '../../src/kube/api/proxy.ts';
import { output } from '../../tools/controlplane/command.ts';
import { compiled } from '../support/peers/compiled.ts';
import * as fc from '../support/properties.ts';
import { type ProxyCase, proxyCases } from '../support/proxy-cases.ts';

type Question = Omit<ProxyCase, 'proxy'>;

let judge: string;
before(async () => {
  const cwd = join(import.meta.dirname, '../support/proxy-judge');
  const sources = ['main.go', 'go.mod'].map((file) => join(cwd, file));
  const folder = await compiled('proxy-judge', sources, (outputFolder) => ({
    command: ['go', 'build', '-o', `${outputFolder}judge`, '.'],
    cwd,
  }));
  judge = join(folder, 'judge');
});

/** The proxies that Go uses. */
async function proxiesOfGo(questions: readonly Question[]): Promise<readonly string[]> {
  const input = questions.map(({ url, env }) => `${JSON.stringify({ url, env })}\n`).join('');
  const { stdout, stderr, code } = await output(judge, [], { input });
  assert.equal(code, 0, stderr);
  return stdout.trimEnd().split('\n');
}

test("Go, and therefore kubectl, uses the expected proxy in every case of the operator's proxy tests", async () => {
  const proxies = await proxiesOfGo(proxyCases);
  assert.deepEqual(
    proxyCases.map(({ url, env }, i) => ({ url, env, proxy: proxies[i] })),
    proxyCases,
  );
});

const label = fc.constantFrom('a', 'api', 'svc', 'example', 'x-1', '1', '10', 'localhost', 'xn--bcher-kva');
const domain = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join('.'));
const ipv4 = fc.constantFrom(
  '10.96.0.1',
  '10.96.0.10',
  '10.0.0.1',
  '192.168.1.1',
  '0.0.0.0',
  '127.0.0.1',
  '169.254.0.1',
);
const ipv6 = fc.constantFrom(
  '::',
  '::1',
  'fd00::1',
  'fd00:0:0::1',
  'fe80::1',
  '2001:db8::1',
  '::ffff:10.96.0.1',
  '::ffff:127.0.0.1',
  '::10.96.0.1',
  '64:ff9b::a60:1',
);
const port = fc.constantFrom('', '', ':443', ':6443', ':80');
const bracketed = ipv6.map((ip) => `[${ip}]`);

const host = fc.oneof(domain, ipv4, bracketed);
const url = fc
  .tuple(fc.constantFrom('https', 'http'), host, port)
  .map(([scheme, name, end]) => `${scheme}://${name}${end}`)
  // A URL reads 10.1 as the address 10.0.0.1, Go as a name.
  .filter((text) => URL.canParse(text) && (text.includes('[') || text.includes(new URL(text).hostname)));

const entry = fc.oneof(
  fc
    .tuple(fc.constantFrom('', '', '.', '*.', '*', '..', '*.*.'), fc.oneof(domain, ipv4), port)
    .map((parts) => parts.join('')),
  fc
    .tuple(
      fc.oneof(ipv4, ipv6, bracketed),
      fc.constantFrom('/0', '/8', '/16', '/32', '/33', '/104', '/128', '/129', '/08', '/', '/-1', '/8/8'),
      port,
    )
    .map((parts) => parts.join('')),
  fc.tuple(fc.oneof(ipv6, bracketed), port).map((parts) => parts.join('')),
  fc.constantFrom(
    '*',
    '',
    ' ',
    ':',
    ':443',
    '[]',
    '[]:443',
    '[',
    ']',
    '.',
    '*.',
    '/8',
    '[::1',
    'a:b:c',
    '10.96.0',
    '10.96',
    '10.96.0.1.',
    '010.96.0.1',
    '0x0a.96.0.1',
    'fe80::1%eth0',
    '[fe80::1%25eth0]:443',
  ),
);
const noProxy = fc
  .array(fc.tuple(fc.constantFrom('', '', ' ', '\t'), entry, fc.constantFrom('', '', ' ')), {
    minLength: 1,
    maxLength: 3,
  })
  .map((entries) => entries.map((parts) => parts.join('')).join(','));

const question: fc.Arbitrary<Question> = fc.record({
  url,
  env: fc.record(
    {
      HTTPS_PROXY: fc.constantFrom(
        '',
        'http://proxy.example:3128',
        'proxy.example',
        'https://[fd00::9]:3129',
        '[::1]:3128',
        '10.0.0.9:3128',
        'http://user:p%40ss@proxy.example:3128',
        'http://[2001:db8::9]',
      ),
      https_proxy: fc.constantFrom('', 'http://lower.example:3128'),
      HTTP_PROXY: fc.constantFrom('', 'http://plain.example:80'),
      http_proxy: fc.constantFrom('', 'http://plain-lower.example'),
      NO_PROXY: noProxy,
      no_proxy: noProxy,
    },
    { requiredKeys: ['NO_PROXY'] },
  ),
});

/** `FUZZ_SEED=7` gives other questions, and `PROXY_CASES=20000` more. */
const seed = Number(process.env['FUZZ_SEED'] ?? 1);
const numRuns = Number(process.env['PROXY_CASES'] ?? 1000);

test('the operator uses the same proxy as Go for random addresses and random variables', async () => {
  const questions = fc.sample(question, { seed, numRuns });
  const expected = await proxiesOfGo(questions);
  const differences = questions.flatMap(({ url: address, env }, i) => {
    const found = proxyFromEnvironment(new URL(address), env);
    // Go writes the default port of a proxy as it is in the variable, a URL leaves it out.
    const proxy = found === undefined ? '-' : describeProxy(found);
    const same =
      expected[i] === '-'
        ? proxy === '-'
        : URL.canParse(expected[i] ?? '') && proxy === new URL(expected[i] ?? '').origin;
    return same ? [] : [{ url: address, env, proxy, go: expected[i] }];
  });
  assert.deepEqual(differences.slice(0, 20), []);
  // Otherwise the test would compare little.
  const without = expected.filter((proxy) => proxy === '-').length;
  assert.ok(without > numRuns / 10 && without < (numRuns * 9) / 10, `${without} of ${numRuns} without a proxy`);
});
