/** A URL, the proxy variables of the environment, and the proxy to use: `-` for none. */
export interface ProxyCase {
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
  readonly proxy: string;
}

const proxy = 'http://proxy.example:3128';
const inPod = 'https://10.96.0.1';

/** A case with NO_PROXY. `has`: whether the entry matches the URL. */
const noProxy = (entry: string, url: string, has: boolean): ProxyCase => ({
  url,
  env: { HTTPS_PROXY: proxy, NO_PROXY: entry },
  proxy: has ? '-' : proxy,
});

export const proxyCases: readonly ProxyCase[] = [
  { url: inPod, env: {}, proxy: '-' },
  { url: inPod, env: { HTTPS_PROXY: proxy }, proxy },
  { url: inPod, env: { https_proxy: proxy }, proxy },
  { url: inPod, env: { HTTPS_PROXY: proxy, https_proxy: 'http://other.example:1' }, proxy },
  { url: inPod, env: { HTTPS_PROXY: '', https_proxy: proxy }, proxy },
  { url: inPod, env: { HTTP_PROXY: proxy }, proxy: '-' },
  { url: 'http://10.96.0.1', env: { HTTP_PROXY: proxy }, proxy },
  { url: 'http://10.96.0.1', env: { HTTPS_PROXY: proxy }, proxy: '-' },
  { url: inPod, env: { ALL_PROXY: proxy, all_proxy: proxy }, proxy: '-' },
  { url: inPod, env: { HTTPS_PROXY: 'proxy.example:3128' }, proxy },
  { url: inPod, env: { HTTPS_PROXY: '10.0.0.9:3128' }, proxy: 'http://10.0.0.9:3128' },
  { url: inPod, env: { HTTPS_PROXY: 'https://proxy.example:3129' }, proxy: 'https://proxy.example:3129' },
  { url: inPod, env: { HTTPS_PROXY: 'http://user:pass@proxy.example:3128' }, proxy },
  { url: inPod, env: { HTTPS_PROXY: proxy, NO_PROXY: 'x', no_proxy: '*' }, proxy },
  { url: inPod, env: { HTTPS_PROXY: proxy, no_proxy: '*' }, proxy: '-' },
  ...['https://localhost', 'https://127.0.0.1:6443', 'https://127.8.9.1', 'https://[::1]:6443'].map(
    (url): ProxyCase => ({ url, env: { HTTPS_PROXY: proxy }, proxy: '-' }),
  ),
  { url: 'https://localhost.example', env: { HTTPS_PROXY: proxy }, proxy },
  noProxy('*', 'https://api.example', true),
  noProxy('a,*', 'https://api.example', true),
  noProxy('*.', 'https://api.example', false),
  noProxy('10.0.0.0/8', inPod, true),
  noProxy('10.0.0.0/8,192.168.0.0/16', 'https://192.168.3.4:6443', true),
  noProxy('10.96.0.0/24', 'https://10.96.1.1', false),
  noProxy('10.96.0.1/32', inPod, true),
  noProxy('0.0.0.0/0', inPod, true),
  noProxy('0.0.0.0/0', 'https://[2001:db8::1]', false),
  noProxy('10.0.0.0/33', inPod, false),
  noProxy('10.0.0.0/', inPod, false),
  noProxy('10.0.0.0/8:443', inPod, false),
  noProxy('fd00::/8', 'https://[fd00:10:96::1]:443', true),
  noProxy('fd00::/8', 'https://[fe80::1]', false),
  noProxy('::/0', 'https://[2001:db8::1]', true),
  noProxy('10.0.0.0/8', 'https://[::ffff:10.0.0.1]', true),
  noProxy('10.0.0.0/8', 'https://ten.example', false),
  noProxy('10.96.0.1', inPod, true),
  noProxy('10.96.0.1', 'https://10.96.0.10', false),
  noProxy('10.96.0.1:443', inPod, true),
  noProxy('10.96.0.1:443', 'https://10.96.0.1:6443', false),
  noProxy('10.96.0.1:6443', 'https://10.96.0.1:6443', true),
  noProxy('010.96.0.1', inPod, false),
  noProxy('2001:db8::1', 'https://[2001:db8::1]', true),
  noProxy('2001:db8:0:0::1', 'https://[2001:db8::1]', true),
  noProxy('[2001:db8::1]:443', 'https://[2001:db8::1]', true),
  noProxy('[2001:db8::1]:444', 'https://[2001:db8::1]', false),
  noProxy('[2001:db8::1]', 'https://[2001:db8::1]', false),
  noProxy('::ffff:10.96.0.1', inPod, true),
  noProxy('api.example', 'https://api.example', true),
  noProxy('API.Example', 'https://api.example', true),
  noProxy('api.example', 'https://API.EXAMPLE:6443', true),
  noProxy('api.example', 'https://eu.api.example', true),
  noProxy('api.example', 'https://myapi.example', false),
  noProxy('.example', 'https://api.example', true),
  noProxy('.api.example', 'https://api.example', false),
  noProxy('*.example', 'https://api.example', true),
  noProxy('*.api.example', 'https://api.example', false),
  noProxy('*.api.example:443', 'https://eu.api.example', true),
  noProxy('api.example:443', 'https://api.example', true),
  noProxy('api.example:6443', 'https://api.example', false),
  noProxy('api.example:', 'https://api.example', true),
  noProxy(':443', 'https://api.example', false),
  noProxy('a*.example', 'https://api.example', false),
  noProxy('kubernetes.default.svc,.cluster.local', 'https://kubernetes.default.svc', true),
  noProxy(' api.example ,\tb', 'https://api.example', true),
  noProxy('api.example b', 'https://api.example', false),
  noProxy(',,', 'https://api.example', false),
  noProxy('bücher.example', 'https://xn--bcher-kva.example', true),
  noProxy('api.example.', 'https://api.example', false),
];
