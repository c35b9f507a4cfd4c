import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { describe, test } from 'node:test';
import { type Config, ConfigError, readConfig, usage } from '../../src/config.ts';

const read = (argv: readonly string[] = [], env: Record<string, string | undefined> = {}): Config => {
  const config = readConfig(argv, env);
  assert.ok(config !== 'help');
  return config;
};

describe('the configuration', () => {
  test('has a default for every setting', () => {
    const { identity, keysInWork, ...config } = read();
    assert.deepEqual(config, {
      namespace: 'mtls-operator',
      createDefaultAuthority: false,
      listen: { host: '127.0.0.1', port: 8080, isExplicit: false },
      logLevel: 'info',
      workers: 32,
      leaseDurationMs: 15_000,
      renewDeadlineMs: 10_000,
      retryPeriodMs: 2000,
    });
    assert.ok(keysInWork >= 1);
    assert.match(identity, new RegExp(`-${process.pid}-`));
  });

  test('makes RSA keys on all cores, and leaves half of the threads to others', () => {
    const cores = availableParallelism();
    const keysInWork = (threads?: string) => read([], { UV_THREADPOOL_SIZE: threads }).keysInWork;
    assert.equal(keysInWork(), Math.min(2, cores));
    assert.equal(keysInWork(String(2 * cores)), cores);
    assert.equal(keysInWork('1024'), cores);
    assert.equal(keysInWork('1'), 1);
  });

  test('cannot be changed', () => assert.ok(Object.isFrozen(read())));

  const settings: [argv: string[], env: Record<string, string>, expected: Partial<Config>][] = [
    [['--kubeconfig', '/a', '--context', 'b'], {}, { kubeconfig: '/a', context: 'b' }],
    [['--kubeconfig=/a'], {}, { kubeconfig: '/a' }],
    [['--namespace', 'pki'], {}, { namespace: 'pki' }],
    [[], { POD_NAMESPACE: 'pki' }, { namespace: 'pki' }],
    [['--namespace', 'a'], { POD_NAMESPACE: 'b' }, { namespace: 'a' }],
    [[], { POD_NAMESPACE: '' }, { namespace: 'mtls-operator' }],
    [[], { POD_NAME: 'operator-1' }, { identity: 'operator-1' }],
    [['--create-default-authority'], {}, { createDefaultAuthority: true }],
    [['--no-create-default-authority'], {}, { createDefaultAuthority: false }],
    [['--log-level', 'debug', '--workers', '1'], {}, { logLevel: 'debug', workers: 1 }],
    [['--workers', '1000'], {}, { workers: 1000 }],
    [['--listen-address', '127.0.0.1:0'], {}, { listen: { host: '127.0.0.1', port: 0, isExplicit: true } }],
    [['--listen-address', ':9090'], {}, { listen: { port: 9090, isExplicit: true } }],
    [['--listen-address', '[::1]:9090'], {}, { listen: { host: '::1', port: 9090, isExplicit: true } }],
    [['--listen-address', '0.0.0.0:8080'], {}, { listen: { host: '0.0.0.0', port: 8080, isExplicit: true } }],
    [
      ['--lease-duration', '1m', '--renew-deadline', '40s', '--retry-period', '500ms'],
      {},
      { leaseDurationMs: 60_000, renewDeadlineMs: 40_000, retryPeriodMs: 500 },
    ],
  ];
  for (const [argv, env, expected] of settings) {
    const given = [...argv, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)].join(' ');
    test(`takes ${given}`, () => {
      const config = read(argv, env);
      for (const [name, value] of Object.entries(expected)) assert.deepEqual(config[name as keyof Config], value);
    });
  }

  test('names a replica that has no POD_NAME so that no other has its name', () => {
    assert.notEqual(read([], { POD_NAME: '' }).identity, '');
  });

  for (const argv of [['--help'], ['--help', '--workers', '0']]) {
    test(`is help for ${argv.join(' ')}`, () => assert.equal(readConfig(argv, {}), 'help'));
  }

  test('has every option in its help', () => {
    const names = usage.match(/--[a-z-]+/g) ?? [];
    for (const name of names.filter((one) => one !== '--help' && one !== '--create-default-authority')) {
      // A known option without its value is refused for that, and an unknown one for being unknown.
      assert.throws(
        () => readConfig([name], {}),
        (error) => error instanceof ConfigError && !/Unknown/.test(error.message),
      );
    }
  });
});

describe('the configuration is refused', () => {
  const refused: [argv: string[], message: RegExp][] = [
    [['--unknown'], /--unknown/],
    [['positional'], /positional/],
    [['--workers'], /--workers/],
    [['--workers', '0'], /--workers: use a number from 1 to 1000/],
    [['--workers', '1001'], /--workers/],
    [['--workers', '1.5'], /--workers/],
    [['--workers', 'many'], /--workers/],
    [['--workers', ''], /--workers/],
    [['--log-level', 'verbose'], /--log-level: use one of error, warn, info, debug/],
    [['--log-level', 'INFO'], /--log-level/],
    [['--namespace', ''], /--namespace/],
    [['--namespace', 'a/b'], /--namespace/],
    [['--namespace', '..'], /--namespace/],
    [['--namespace', 'A'], /--namespace/],
    [['--listen-address', ''], /--listen-address/],
    [['--listen-address', '8080'], /--listen-address/],
    [['--listen-address', 'host:65536'], /--listen-address/],
    [['--listen-address', 'host:x'], /--listen-address/],
    [['--listen-address', '::1:8080'], /--listen-address/],
    [['--lease-duration', '15'], /--lease-duration: "15" is not a duration like 15s/],
    [['--lease-duration', '0s'], /--lease-duration/],
    [['--lease-duration', '-15s'], /--lease-duration/],
    [['--retry-period', '10s'], /--retry-period must be shorter than --renew-deadline/],
    [['--renew-deadline', '15s'], /shorter than --lease-duration/],
    [['--lease-duration', '9s'], /shorter than --lease-duration/],
    [['--create-default-authority=yes'], /--create-default-authority/],
  ];
  for (const [argv, message] of refused) {
    test(`for ${argv.join(' ')}`, () =>
      assert.throws(
        () => readConfig(argv, {}),
        (error) => error instanceof ConfigError && message.test(error.message),
      ));
  }
});
