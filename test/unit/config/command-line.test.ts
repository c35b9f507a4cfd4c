import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { ConfigError, flagTypes, readConfig } from '../../../src/config/config.ts';
import { listenError, overlap, PortInUseError } from '../../../src/config/listen-flags.ts';
import { startProgram } from '../../../tools/program.ts';

type Flag = keyof typeof flagTypes;

const folder = mkdtempSync(join(tmpdir(), 'mtls-flags-'));
const emptyList = join(folder, 'empty.json');
before(() => writeFileSync(emptyList, '[]'));
after(() => rmSync(folder, { recursive: true }));

/** A valid value of each flag, and values that are refused. A flag without a value is not here. */
const values: Partial<Record<Flag, { readonly right: string; readonly wrong: readonly string[] }>> = {
  kubeconfig: { right: '/a', wrong: [] },
  context: { right: 'a', wrong: [] },
  'service-account-directory': { right: '/a', wrong: [] },
  namespace: { right: 'a', wrong: ['A', 'a.b', 'a/b', '-a', 'a'.repeat(64)] },
  'watch-namespaces': { right: 'a,b', wrong: ['A', 'a,', ',a', 'a b', '*', 'a,a', 'a'.repeat(64)] },
  'authorities-file': { right: emptyList, wrong: [join(folder, 'none.json'), folder] },
  'listen-address': {
    right: ':0',
    wrong: [
      '8080',
      'a',
      ':65536',
      ':-1',
      '::1:8080',
      '[::1]',
      '[a]:80',
      'a b:80',
      'http://a:80',
      `${'a'.repeat(254)}:80`,
    ],
  },
  'metrics-listen-address': { right: ':0', wrong: ['8443', ':65536', ':8080', '127.0.0.1:8080', '::1:8443'] },
  'metrics-tls-directory': { right: '/a', wrong: [] },
  'metrics-client': { right: 'a', wrong: ['*.a', 'spiffe://a/', '10.0.0.1', 'a b'] },
  'metrics-service': { right: 'a', wrong: ['A', '1a', 'a.b', 'a-', 'a'.repeat(56)] },
  'metrics-authority': { right: 'a.b', wrong: ['A', 'a..b', '-a', 'a'.repeat(254)] },
  'log-level': { right: 'debug', wrong: ['verbose', 'DEBUG'] },
  'log-format': { right: 'text', wrong: ['xml', 'JSON'] },
  workers: { right: '1', wrong: ['0', '-1', '1001', '1.5', 'many', '1e999', 'NaN'] },
  'lease-duration': { right: '20s', wrong: ['20', '0s', '1500ms', '25h', '-20s', '10s', '99999999h'] },
  'renew-deadline': { right: '11s', wrong: ['11', '0s', '15s', '2s'] },
  'retry-period': { right: '3s', wrong: ['3', '0s', '10s', '9s'] },
};

/** The flags that another one needs. */
const server = ['--metrics-listen-address=:1', '--metrics-tls-directory=/a', '--metrics-client=a'];
const together: Partial<Record<Flag, readonly string[]>> = {
  'metrics-listen-address': server,
  'metrics-tls-directory': server,
  'metrics-client': server,
  'metrics-authorization': server,
  'metrics-service': server,
  'metrics-authority': [...server, '--metrics-service=a'],
  'restart-workloads': ['--pod-evidence'],
};

const flags = Object.entries(flagTypes) as [Flag, { readonly type: string; readonly multiple?: boolean }][];

/** Asserts that the arguments are refused with one sentence that names the flag. */
function refuses(argv: readonly string[], named: RegExp): void {
  assert.throws(
    () => readConfig(argv, {}),
    (error) => {
      assert.ok(error instanceof ConfigError, `${String(error)} for ${argv.join(' ')}`);
      assert.match(error.message, named);
      assert.doesNotMatch(error.message, /\n|\.$/);
      return true;
    },
  );
}

const accepts = (argv: readonly string[]): void => assert.notEqual(readConfig(argv, {}), undefined);

describe('every flag', () => {
  for (const [flag, { type, multiple = false }] of flags) {
    const named = new RegExp(`--${flag}\\b`);
    const others = (together[flag] ?? []).filter((other) => multiple || !other.startsWith(`--${flag}=`));
    if (type === 'boolean') {
      test(`--${flag} has no value`, () => {
        accepts([...others, `--${flag}`]);
        accepts([...others, `--${flag}`, `--${flag}`]);
        for (const value of ['', 'true', 'yes']) refuses([`--${flag}=${value}`], named);
        refuses([`--${flag}`, 'true'], /"true" is not a flag/);
        refuses([`--no-no-${flag}`], /is not a flag of the operator/);
      });
      continue;
    }
    const { right, wrong } = values[flag] ?? assert.fail(`the table of this test lacks --${flag}`);
    test(`--${flag} needs a value that is not empty`, () => {
      accepts([...others, `--${flag}=${right}`]);
      accepts([...others, `--${flag}`, right]);
      refuses([...others, `--${flag}`], named);
      refuses([`--${flag}`, '--help', ...others], named);
      refuses([...others, `--${flag}=`], named);
      refuses([...others, `--no-${flag}`], /is not a flag of the operator/);
      refuses([...others, `--${flag}=${right}`, right], /is not a flag/);
    });
    for (const value of wrong)
      test(`--${flag} is not ${JSON.stringify(value).slice(0, 60)}`, () => {
        refuses([...others, `--${flag}=${value}`], named);
        refuses([...others, `--${flag}=${right}`, `--${flag}=${value}`], named);
        // The last value counts, so that `extraArgs` of the chart can replace a value.
        if (!multiple) accepts([...others, `--${flag}=${value}`, `--${flag}=${right}`]);
      });
  }

  for (const argv of [
    ['--unknown'],
    ['--unknown=1'],
    ['-h'],
    ['-w', '3'],
    ['--Workers=3'],
    ['--'.concat('=1')],
    ['--toString'],
    ['--__proto__=1'],
    ['---workers=3'],
  ])
    test(`is known, unlike ${argv.join(' ')}`, () =>
      refuses(argv, /is not a flag of the operator; --help lists the flags$/));
  for (const argv of [['run'], [''], ['-'], ['--', '--workers=3'], ['workers=3']])
    test(`begins with dashes, unlike ${JSON.stringify(argv)}`, () =>
      refuses(argv, /is not a flag; the operator has only flags/));
});

describe('two servers', () => {
  const pairs: [one: string, other: string, overlaps: boolean][] = [
    [':8080', ':8443', false],
    [':0', ':0', false],
    [':8080', ':8080', true],
    ['127.0.0.1:8080', ':8080', true],
    ['127.0.0.1:8080', '0.0.0.0:8080', true],
    ['127.0.0.1:8080', '127.0.0.2:8080', false],
    ['127.0.0.1:8080', '[::1]:8080', false],
    ['0.0.0.0:8080', '[::1]:8080', false],
    ['[::]:8080', '127.0.0.1:8080', true],
    ['[::1]:8080', '[0:0::1]:8080', true],
    ['localhost:8080', 'LOCALHOST:8080', true],
  ];
  for (const [one, other, overlaps] of pairs) {
    test(`${overlaps ? 'cannot' : 'can'} listen on ${one} and ${other}`, () => {
      const argv = [
        `--listen-address=${one}`,
        `--metrics-listen-address=${other}`,
        '--metrics-tls-directory=/a',
        '--metrics-client=a',
      ];
      if (overlaps)
        refuses(argv, /^--listen-address and --metrics-listen-address have the same port 8080; use for example/);
      else accepts(argv);
    });
  }

  test('overlap in both orders', () => {
    assert.ok(overlap({ port: 1 }, { host: '127.0.0.1', port: 1 }));
    assert.ok(overlap({ host: '127.0.0.1', port: 1 }, { port: 1 }));
    assert.ok(overlap({ host: '0.0.0.0', port: 1 }, { host: '127.0.0.1', port: 1 }));
  });
});

describe('an address that cannot be used', () => {
  const errors: [code: string, kind: unknown, message: RegExp][] = [
    [
      'EADDRINUSE',
      PortInUseError,
      /^--x: another process uses \[::1\]:80; use another port, or --x=\[::1\]:0 for any free port$/,
    ],
    ['EACCES', ConfigError, /^--x: the operator may not listen on port 80; use for example --x=\[::1\]:8080$/],
    ['EADDRNOTAVAIL', ConfigError, /^--x: this machine does not have the address \[::1\]; use for example --x=:80$/],
    ['EAFNOSUPPORT', ConfigError, /does not have the address \[::1\]/],
    ['ENOTFOUND', ConfigError, /^--x: the host \[::1\] cannot be resolved/],
    ['EOTHER', ConfigError, /^--x: the operator cannot listen on \[::1\]:80: broken$/],
  ];
  for (const [code, kind, message] of errors) {
    test(`is reported in one sentence after ${code}`, () => {
      const error = listenError('--x', { host: '::1', port: 80 }, Object.assign(new Error('broken'), { code }));
      assert.equal(error.constructor, kind);
      assert.match(error.message, message);
    });
  }
});

describe('the process', { concurrency: 2, timeout: 120_000 }, () => {
  const main = join(import.meta.dirname, '../../../src/main.ts');
  const kubeconfig = join(folder, 'kubeconfig');
  before(() => {
    const servers = { c: 'https://127.0.0.1:1', far: 'https://192.0.2.1' };
    const clusters = Object.entries(servers).map(([name, server]) => ({ name, cluster: { server } }));
    const contexts = clusters.map(({ name }) => ({ name, context: { cluster: name, user: 'u' } }));
    writeFileSync(
      kubeconfig,
      JSON.stringify({ clusters, contexts, users: [{ name: 'u', user: {} }], 'current-context': 'c' }),
    );
  });

  const connected = `--kubeconfig=${kubeconfig}`;
  const tls = ['--metrics-listen-address=:0', '--metrics-client=a'];
  const cases: [title: string, argv: readonly string[], message: RegExp][] = [
    ['a wrong value', ['--workers=0'], /^--workers: "0" is not a whole number from 1 to 1000/],
    ['a kubeconfig that is missing', [`--kubeconfig=${folder}/none`], /^cannot read the kubeconfig .*none: ENOENT/],
    ['a context that does not exist', [connected, '--context=other'], /has no context other; its contexts: c, far$/],
    [
      'a folder without a token',
      [`--service-account-directory=${folder}`],
      /^--service-account-directory: .*\/token cannot be read: no such file/,
    ],
    [
      'a folder for TLS that is missing',
      [connected, ...tls, `--metrics-tls-directory=${folder}/none`],
      /^--metrics-tls-directory: .*none cannot be read: no such file/,
    ],
    [
      'a folder for TLS that is a file',
      [connected, ...tls, `--metrics-tls-directory=${emptyList}`],
      /is not a folder$/,
    ],
    [
      'an address of another machine',
      [connected, '--listen-address=192.0.2.1:8080'],
      /does not have the address 192\.0\.2\.1/,
    ],
  ];
  for (const [title, argv, message] of cases) {
    test(`ends with exit code 2 and one sentence for ${title}`, async () => {
      const program = startProgram(main, argv);
      assert.deepEqual(await program.exited, { code: 2, signal: null }, program.tail());
      assert.equal(program.lines.length, 1, program.tail());
      const [, sentence = ''] = /^mtls-operator: (.*)$/.exec(String(program.lines[0]?.['message'])) ?? [];
      assert.match(sentence, message);
    });
  }

  test('ends with exit code 2 for a proxy that is not a URL', async () => {
    const program = startProgram(main, [connected, '--context=far'], {
      HTTPS_PROXY: 'ftp://user:hunter2@a',
      NO_PROXY: '',
    });
    assert.deepEqual(await program.exited, { code: 2, signal: null }, program.tail());
    assert.match(program.tail(), /HTTPS_PROXY is not the URL of a proxy/);
    assert.doesNotMatch(program.tail(), /hunter2/);
  });

  for (const flag of ['--listen-address', '--metrics-listen-address']) {
    test(`ends with exit code 1 and one sentence if the port of ${flag} is in use`, async (t) => {
      const server = createServer().listen(0, '127.0.0.1');
      t.after(() => server.close());
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const others = [
        '--listen-address=127.0.0.1:0',
        '--metrics-listen-address=127.0.0.1:0',
        `--metrics-tls-directory=${folder}`,
        '--metrics-client=a',
      ];
      const program = startProgram(main, [connected, ...others, `${flag}=127.0.0.1:${port}`]);
      assert.deepEqual(await program.exited, { code: 1, signal: null }, program.tail());
      const { message, level, error } = program.lines.at(-1) ?? {};
      assert.deepEqual([level, error], ['error', undefined]);
      assert.equal(
        message,
        `${flag}: another process uses 127.0.0.1:${port}; use another port, or ${flag}=127.0.0.1:0 for any free port`,
      );
    });
  }
});
