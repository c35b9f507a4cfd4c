import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { describeProxy, parseProxy, proxyFromEnvironment } from '../../../../src/kube/api/proxy.ts';
import { isKubeError } from '../../../../src/kube/index.ts';
import { proxyCases } from '../../../support/proxy-cases.ts';

describe('the proxy for an API server', () => {
  for (const { url, env, proxy } of proxyCases) {
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    test(`at ${url} with ${variables.join(' ') || 'no variables'} is ${proxy}`, () => {
      const found = proxyFromEnvironment(new URL(url), env);
      assert.equal(found === undefined ? '-' : describeProxy(found), proxy);
    });
  }

  test('has the credentials of the variable, but describeProxy omits them', () => {
    const env = { HTTPS_PROXY: 'http://user:pass@proxy.example:3128' };
    const found = proxyFromEnvironment(new URL('https://10.96.0.1'), env);
    assert.equal(found?.password, 'pass');
    assert.equal(found && describeProxy(found), 'http://proxy.example:3128');
  });

  for (const text of ['http://', 'ftp://user:pass@proxy.example', 'http://user:pass@proxy.example:port', 'a b']) {
    test(`is refused if the variable is ${text}, without its credentials in the message`, () =>
      assert.throws(
        () => parseProxy(text, 'HTTPS_PROXY'),
        (error) => {
          assert.ok(isKubeError(error, 'Configuration'), String(error));
          assert.doesNotMatch(error.message, /pass/);
          return error.message.startsWith('HTTPS_PROXY is not the URL of a proxy; use http://HOST:PORT');
        },
      ));
  }
});
