import { BlockList, isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { KubeError } from './kube-error.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy for an address from the environment, with the rules of Go (golang.org/x/net/http/httpproxy) and so of kubectl.
 * HTTPS_PROXY or HTTP_PROXY applies depending on the scheme, unless NO_PROXY matches the host. Upper-case variables take
 * precedence. Undefined for no proxy; the local machine is never reached through a proxy.
 * @throws KubeError Configuration if the variable is not the URL of a proxy; the message has no credentials
 */
export function proxyFromEnvironment(target: URL, env: Environment): URL | undefined {
  const name = target.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const text = oneOf(env, name);
  if (text === '' || !usesProxy(target, oneOf(env, 'NO_PROXY'))) return undefined;
  return parseProxy(text, name);
}

/** The URL of a proxy for messages, without credentials. */
export const describeProxy = ({ protocol, host }: URL): string => `${protocol}//${host}`;

/** The value of a variable in upper or lower case; '' if it is unset. */
const oneOf = (env: Environment, name: string): string => env[name] || env[name.toLowerCase()] || '';

/**
 * Parses the URL of a proxy from the environment or a kubeconfig. The default scheme is http.
 * @param source the variable or field, for the message
 * @throws KubeError Configuration
 */
export function parseProxy(text: string, source: string): URL {
  const full = text.includes('://') ? text : `http://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (url !== undefined && url.host !== '' && supported.has(url.protocol)) return url;
  throw new KubeError(
    'Configuration',
    `${source} is not the URL of a proxy; use http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT`,
  );
}

const supported: ReadonlySet<string> = new Set(['http:', 'https:', 'socks5:']);

function usesProxy(target: URL, noProxy: string): boolean {
  const host = target.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = target.port || (target.protocol === 'https:' ? '443' : '80');
  const ip = isIP(host) === 0 ? undefined : unmapped(host);
  if (host === 'localhost' || (ip !== undefined && (ip === '::1' || ip.startsWith('127.')))) return false;
  const entries = noProxy.split(',').map((entry) => entry.trim().toLowerCase());
  return !entries.some((entry) => entry === '*' || matches(entry, { host, port, ip }));
}

interface Target {
  readonly host: string;
  readonly port: string;
  readonly ip: string | undefined;
}

function matches(entry: string, { host, port, ip }: Target): boolean {
  if (entry === '') return false;
  const range = rangeOf(entry);
  if (range !== undefined)
    return ip !== undefined && range.family === familyOf(ip) && range.addresses.check(ip, familyOf(ip));
  const { name, port: onlyPort } = splitPort(entry);
  if (name === '' || (onlyPort !== '' && onlyPort !== port)) return false;
  if (isAddress(name)) return ip !== undefined && isSameAddress(ip, name);
  if (ip !== undefined) return false;
  // `*.example.org` and `.example.org` match only subdomains; `example.org` matches itself and its subdomains.
  const plain = name.startsWith('*.') ? name.slice(1) : name;
  const isBelow = plain.startsWith('.');
  const domain = asciiOf(isBelow ? plain.slice(1) : plain);
  return host.endsWith(`.${domain}`) || (!isBelow && host === domain);
}

const isAddress = (text: string): boolean => isIP(text) !== 0 && !text.includes('%');
const familyOf = (ip: string): 'ipv4' | 'ipv6' => (isIP(ip) === 4 ? 'ipv4' : 'ipv6');

/** Converts an IPv4-mapped IPv6 address to the IPv4 address. */
function unmapped(ip: string): string {
  if (isIP(ip) !== 6) return ip;
  const [, high, low] =
    /^::ffff:([\da-f]{1,4}):([\da-f]{1,4})$/.exec(new URL(`http://[${ip}]`).hostname.slice(1, -1)) ?? [];
  if (high === undefined || low === undefined) return ip;
  return [high, low].flatMap((part) => [Number.parseInt(part, 16) >> 8, Number.parseInt(part, 16) & 255]).join('.');
}

function isSameAddress(ip: string, text: string): boolean {
  const other = unmapped(text);
  const one = new BlockList();
  one.addAddress(other, familyOf(other));
  return familyOf(ip) === familyOf(other) && one.check(ip, familyOf(ip));
}

interface AddressRange {
  readonly family: 'ipv4' | 'ipv6';
  readonly addresses: BlockList;
}

/** A range in CIDR notation (RFC 4632). A range of IPv4-mapped IPv6 addresses is a range of IPv4 addresses. */
function rangeOf(entry: string): AddressRange | undefined {
  const [, text = '', digits = ''] = /^([^/]+)\/(\d{1,3})$/.exec(entry) ?? [];
  const bits = Number(digits);
  if (!isAddress(text) || bits > (isIP(text) === 4 ? 32 : 128)) return undefined;
  const ip = unmapped(text);
  const isMapped = isIP(text) === 6 && isIP(ip) === 4 && bits >= 96;
  const [address, prefix] = isMapped ? [ip, bits - 96] : [text, bits];
  const family = familyOf(address);
  const addresses = new BlockList();
  addresses.addSubnet(address, prefix, family);
  // BlockList would also compare a range of IPv6 addresses with an IPv4 address.
  return { family, addresses };
}

/** Splits like Go's net.SplitHostPort. If that function would fail, the whole entry is a host without a port. */
function splitPort(entry: string): { readonly name: string; readonly port: string } {
  const [, bracketed, plain, port = ''] = /^(?:\[([^[\]]*)\]|([^:[\]]*)):([^:[\]]*)$/.exec(entry) ?? [];
  const name = bracketed ?? plain;
  return name === undefined ? { name: entry, port: '' } : { name, port };
}

/** As in Go, only a name that is not ASCII changes. domainToASCII would also turn 10.1 into the address 10.0.0.1. */
const asciiOf = (domain: string): string => (/^[\0-\x7f]*$/.test(domain) ? domain : domainToASCII(domain) || domain);
