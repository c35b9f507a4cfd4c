import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { describe, test } from 'node:test';
import { type Config, ConfigError, readConfig } from '../../../src/config/config.ts';
import { LeaderElector, type LeaderElectorOptions, silentLog } from '../../../src/kube/index.ts';
import * as fc from '../../support/properties.ts';

const read = (argv: readonly string[] = [], env: Record<string, string | undefined> = {}): Config => {
  const config = readConfig(argv, env);
  assert.ok(config !== 'help');
  return config;
};

const metricsFlags = ['--metrics-listen-address=:8443', '--metrics-tls-directory=/tls', '--metrics-authorization'];

describe('the configuration', () => {
  test('has a default for every setting', () => {
    const { identity, rsaKeyWorkers, ...config } = read();
    assert.deepEqual(config, {
      namespace: 'mtls-operator',
      injectCa: false,
      podCertificates: false,
      podEvidence: false,
      restartWorkloads: false,
      createDefaultAuthority: false,
      initialAuthorities: [],
      listen: { host: '127.0.0.1', port: 8080, isExplicit: false },
      metricsPerCertificate: true,
      logLevel: 'info',
      logFormat: 'json',
      workers: 32,
      leaseDurationMs: 15_000,
      renewDeadlineMs: 10_000,
      retryPeriodMs: 2000,
    });
    assert.ok(rsaKeyWorkers >= 1);
    assert.match(identity, new RegExp(`-${process.pid}-`));
  });

  test('generates RSA keys on every core, and leaves half of the threads to other work', () => {
    const cores = availableParallelism();
    const rsaKeyWorkers = (threads?: string) => read([], { UV_THREADPOOL_SIZE: threads }).rsaKeyWorkers;
    assert.equal(rsaKeyWorkers(), Math.min(2, cores));
    assert.equal(rsaKeyWorkers(String(2 * cores)), cores);
    assert.equal(rsaKeyWorkers('1024'), cores);
    assert.equal(rsaKeyWorkers('1'), 1);
    // libuv uses one thread for these values.
    for (const one of ['', '0', 'many']) assert.equal(rsaKeyWorkers(one), 1);
  });

  test('is frozen', () => assert.ok(Object.isFrozen(read())));

  const accepted: [argv: string[], env: Record<string, string>, expected: Partial<Config>][] = [
    [['--kubeconfig', '/a', '--context', 'b'], {}, { kubeconfig: '/a', context: 'b' }],
    [['--kubeconfig=/a'], {}, { kubeconfig: '/a' }],
    [['--service-account-directory=/sa'], {}, { serviceAccountDirectory: '/sa' }],
    [['--namespace', 'pki'], {}, { namespace: 'pki' }],
    [['--watch-namespaces', 'shop'], {}, { watchNamespaces: ['shop'] }],
    [['--watch-namespaces=shop,edge-1,mtls-operator'], {}, { watchNamespaces: ['shop', 'edge-1', 'mtls-operator'] }],
    [[], { POD_NAMESPACE: 'pki' }, { namespace: 'pki' }],
    [['--namespace', 'a'], { POD_NAMESPACE: 'b' }, { namespace: 'a' }],
    [[], { POD_NAMESPACE: '' }, { namespace: 'mtls-operator' }],
    [[], { POD_NAME: 'operator-1' }, { identity: 'operator-1' }],
    [['--create-default-authority'], {}, { createDefaultAuthority: true }],
    [['--no-create-default-authority'], {}, { createDefaultAuthority: false }],
    [['--pod-certificates'], {}, { podCertificates: true }],
    [['--pod-evidence'], {}, { podEvidence: true, restartWorkloads: false }],
    [['--pod-evidence', '--restart-workloads'], {}, { podEvidence: true, restartWorkloads: true }],
    [['--no-metrics-per-certificate'], {}, { metricsPerCertificate: false }],
    [['--log-level', 'debug', '--workers', '1'], {}, { logLevel: 'debug', workers: 1 }],
    [['--log-format', 'text'], {}, { logFormat: 'text' }],
    [['--workers', '1000'], {}, { workers: 1000 }],
    [['--listen-address', '127.0.0.1:0'], {}, { listen: { host: '127.0.0.1', port: 0, isExplicit: true } }],
    [['--listen-address', ':9090'], {}, { listen: { port: 9090, isExplicit: true } }],
    [['--listen-address', '[::1]:9090'], {}, { listen: { host: '::1', port: 9090, isExplicit: true } }],
    [['--listen-address', 'localhost:9090'], {}, { listen: { host: 'localhost', port: 9090, isExplicit: true } }],
    [
      [
        '--metrics-listen-address=:8443',
        '--metrics-tls-directory=/tls',
        '--metrics-client=SPIFFE://Cluster.Local/ns/monitoring/sa/prometheus',
        '--metrics-client=Prometheus.Monitoring.svc',
      ],
      {},
      {
        metrics: {
          listen: { port: 8443 },
          tlsDirectory: '/tls',
          clients: ['spiffe://cluster.local/ns/monitoring/sa/prometheus', 'prometheus.monitoring.svc'],
          authorization: false,
        },
      },
    ],
    [
      ['--metrics-listen-address=:8443', '--metrics-tls-directory=/tls', '--metrics-authorization'],
      {},
      { metrics: { listen: { port: 8443 }, tlsDirectory: '/tls', clients: [], authorization: true } },
    ],
    [
      [...metricsFlags, '--metrics-service=mtls-operator'],
      {},
      { metricsService: { name: 'mtls-operator', authority: 'default' } },
    ],
    [
      [...metricsFlags, '--metrics-service=a', '--metrics-authority=internal.example'],
      {},
      { metricsService: { name: 'a', authority: 'internal.example' } },
    ],
    [['--retry-period', '8333ms'], {}, { retryPeriodMs: 8333 }],
    [['--lease-duration', '24h'], {}, { leaseDurationMs: 86_400_000 }],
    [['--listen-address', '0.0.0.0:8080'], {}, { listen: { host: '0.0.0.0', port: 8080, isExplicit: true } }],
    [
      ['--lease-duration', '1m', '--renew-deadline', '40s', '--retry-period', '500ms'],
      {},
      { leaseDurationMs: 60_000, renewDeadlineMs: 40_000, retryPeriodMs: 500 },
    ],
  ];
  for (const [argv, env, expected] of accepted) {
    const settings = [...argv, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)].join(' ');
    test(`accepts ${settings}`, () => {
      const config = read(argv, env);
      for (const [name, value] of Object.entries(expected)) assert.deepEqual(config[name as keyof Config], value);
    });
  }

  test('gives a replica without POD_NAME a name of its own', () => {
    assert.notEqual(read([], { POD_NAME: '' }).identity, '');
  });

  for (const argv of [['--help'], ['--help', '--workers', '0']]) {
    test(`is a request for help with ${argv.join(' ')}`, () => assert.equal(readConfig(argv, {}), 'help'));
  }
});

describe('the configuration is refused', () => {
  const refused: [argv: string[], message: RegExp][] = [
    [['--restart-workloads'], /--restart-workloads needs --pod-evidence; set both/],
    [['--workers', '0'], /--workers: "0" is not a whole number from 1 to 1000; use for example --workers=32/],
    [['--workers', '1001'], /--workers/],
    [['--workers', '1.5'], /--workers/],
    [['--workers', 'many'], /--workers/],
    [['--workers', ''], /--workers/],
    [['--log-level', 'verbose'], /--log-level: "verbose" is not a level; use one of error, warn, info, debug/],
    [['--log-level', 'INFO'], /--log-level/],
    [['--log-format', 'xml'], /--log-format: "xml" is not a format; use json or text/],
    [['--log-format', ''], /--log-format/],
    [['--authorities-file='], /--authorities-file: the value is empty/],
    [['--namespace', ''], /--namespace/],
    [['--namespace', 'a/b'], /--namespace/],
    [['--namespace', '..'], /--namespace/],
    [['--namespace', 'A'], /--namespace/],
    [['--watch-namespaces', ''], /--watch-namespaces: the value is empty; set a value or remove the flag/],
    [['--watch-namespaces', 'shop,'], /--watch-namespaces: "" is not a valid namespace name; use for example/],
    [['--watch-namespaces', 'shop, edge'], /--watch-namespaces: " edge" is not a valid namespace name/],
    [['--watch-namespaces', 'Shop'], /--watch-namespaces: "Shop" is not a valid namespace name/],
    [['--watch-namespaces', '*'], /--watch-namespaces: "\*" is not a valid namespace name/],
    [['--watch-namespaces', 'a'.repeat(64)], /--watch-namespaces/],
    [['--watch-namespaces', 'shop,edge,shop'], /--watch-namespaces: "shop" occurs twice; remove one of them/],
    [['--listen-address', ''], /--listen-address/],
    [['--listen-address', '8080'], /--listen-address/],
    [['--listen-address', 'host:65536'], /--listen-address/],
    [['--listen-address', 'host:x'], /--listen-address/],
    [['--listen-address', '::1:8080'], /needs brackets; use for example --listen-address=\[::1\]:8080$/],
    [['--listen-address', 'fd00::1'], /needs brackets; use for example --listen-address=\[fd00::1\]:8080$/],
    [['--listen-address', '::'], /needs brackets; use for example --listen-address=\[::\]:8080$/],
    [['--listen-address', '[127.0.0.1]:80'], /--listen-address/],
    [
      ['--metrics-listen-address=:8443'],
      /--metrics-listen-address and --metrics-tls-directory are used together, with --metrics-client, --metrics-authorization or both; set all of them/,
    ],
    [['--metrics-listen-address=:8443', '--metrics-tls-directory=/tls'], /are used together/],
    [['--metrics-client=a'], /are used together/],
    [['--metrics-authorization'], /are used together/],
    [['--metrics-service=a'], /--metrics-service needs --metrics-tls-directory; set both/],
    [['--metrics-authority=a'], /--metrics-authority needs --metrics-service; set both/],
    [
      [...metricsFlags, '--metrics-service=A'],
      /--metrics-service: "A" is not the name of a Service with at most 55 characters; use for example/,
    ],
    [[...metricsFlags, '--metrics-service='], /--metrics-service/],
    [[...metricsFlags, `--metrics-service=${'a'.repeat(56)}`], /--metrics-service/],
    [
      [...metricsFlags, '--metrics-service=a', '--metrics-authority=a..b'],
      /--metrics-authority: "a..b" is not a valid name of an MtlsAuthority; use for example default/,
    ],
    ...['', '*.shop.svc', 'spiffe://a/', '10.0.0.1', 'a b'].map((client): [string[], RegExp] => [
      ['--metrics-listen-address=:1', '--metrics-tls-directory=/tls', `--metrics-client=${client}`],
      /--metrics-client: .* is not a SPIFFE ID or DNS name/,
    ]),
    [
      ['--metrics-listen-address=1', '--metrics-tls-directory=/', '--metrics-client=a'],
      /--metrics-listen-address: "1"/,
    ],
    [['--metrics-listen-address=:1', '--metrics-tls-directory=', '--metrics-client=a'], /--metrics-tls-directory: the/],
    [['--lease-duration', '15'], /--lease-duration: "15" is not a duration; use for example --lease-duration=15s/],
    [['--lease-duration', '0s'], /--lease-duration/],
    [['--lease-duration', '-15s'], /--lease-duration/],
    [['--lease-duration', ''], /--lease-duration: "" is not a duration/],
    [['--lease-duration', '1500ms', '--renew-deadline=1s'], /whole seconds; use for example --lease-duration=2s/],
    [['--lease-duration', '25h'], /--lease-duration must be at most 86400s/],
    // Longer than the longest timer.
    [['--lease-duration', '600h', '--renew-deadline', '599h'], /--lease-duration must be at most 86400s/],
    [['--retry-period', '10s'], /--retry-period must be shorter than --renew-deadline/],
    [['--retry-period', '9s'], /divided by 1.2: 9s is not shorter than 8333ms; use for example --retry-period=2s/],
    [['--renew-deadline', '2s'], /use for example --retry-period=400ms/],
    [['--renew-deadline', '15s'], /shorter than --lease-duration: 15s is not .*; use for example --renew-deadline=10s/],
    [['--lease-duration', '9s'], /shorter than --lease-duration: 10s is not shorter than 9s/],
    [['--kubeconfig', ''], /--kubeconfig: the value is empty; set a value or remove the flag/],
    [['--service-account-directory='], /--service-account-directory: the value is empty/],
    [['--context='], /--context: the value is empty/],
    [['--listen-address', '[:::]:80'], /--listen-address/],
    [['--listen-address', '999.1.1.1:80'], /--listen-address/],
    [
      ['--listen-address', 'a b:80'],
      /--listen-address: "a b:80" is not HOST:PORT; use for example --listen-address=0.0.0.0:8080/,
    ],
    [['--listen-address', '-a:80'], /--listen-address/],
    [['--create-default-authority=yes'], /--create-default-authority/],
  ];
  for (const [argv, message] of refused) {
    test(`for ${argv.join(' ')}`, () =>
      assert.throws(
        () => readConfig(argv, {}),
        (error) => error instanceof ConfigError && message.test(error.message),
      ));
  }

  test('for a POD_NAMESPACE that is not a valid name', () =>
    assert.throws(
      () => readConfig([], { POD_NAMESPACE: 'a_b' }),
      /POD_NAMESPACE: "a_b" is not a valid namespace name/,
    ));
});

describe('the lease timings', () => {
  const durations = fc.integer({ min: 10, max: 86_400_000 });

  test('that the configuration accepts are exactly those that the elector accepts', () => {
    const client = {} as LeaderElectorOptions['client'];
    const elector = { client, lease: { namespace: 'n', name: 'l' }, identity: 'me', log: silentLog };
    fc.assert(
      fc.property(durations, durations, durations, (leaseDurationMs, renewDeadlineMs, retryPeriodMs) => {
        const flags = {
          'lease-duration': leaseDurationMs,
          'renew-deadline': renewDeadlineMs,
          'retry-period': retryPeriodMs,
        };
        const argv = Object.entries(flags).map(([name, ms]) => `--${name}=${ms}ms`);
        const timing = { leaseDurationMs, renewDeadlineMs, retryPeriodMs };
        if (refusal(argv) === undefined) assert.ok(new LeaderElector({ ...elector, ...timing }));
        else assert.throws(() => new LeaderElector({ ...elector, ...timing }), RangeError);
      }),
    );
  });

  test('are accepted once every suggestion of the messages is followed', () => {
    fc.assert(
      fc.property(durations, durations, durations, (lease, renew, retry) => {
        const argv = [`--lease-duration=${lease}ms`, `--renew-deadline=${renew}ms`, `--retry-period=${retry}ms`];
        for (let attempts = 0; attempts < 3; attempts += 1) {
          const suggestion = /use for example (--\S+)/.exec(refusal(argv) ?? '')?.[1];
          if (suggestion !== undefined) argv.push(suggestion);
        }
        assert.equal(refusal(argv), undefined, argv.join(' '));
      }),
    );
  });
});

/** The message with which a command line is refused, or undefined when it is accepted. */
function refusal(argv: readonly string[]): string | undefined {
  try {
    readConfig(argv, {});
    return undefined;
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.message;
  }
}
