import { isIPv4, isIPv6 } from 'node:net';
import type { ListenAddress } from '../telemetry/server.ts';
import { ConfigError } from './command-line.ts';

/**
 * Parses HOST:PORT, with an IPv6 address in brackets. Without HOST: all addresses.
 * @param flag the flag with its dashes, for the message
 * @throws ConfigError
 */
export function parseListenAddress(flag: string, text: string): ListenAddress {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]*)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2] ?? '';
  const isHost = match?.[1] === undefined ? host === '' || isHostname(host) : isIPv6(host);
  if (match !== null && port <= 65_535 && isHost) return host === '' ? { port } : { host, port };
  const [, head = '', last] = /^(.*):(\d{4,5})$/.exec(text) ?? [];
  if (isIPv6(head) || isIPv6(text)) {
    const suggestion = isIPv6(head) ? `[${head}]:${last}` : `[${text}]:8080`;
    throw new ConfigError(
      `${flag}: ${JSON.stringify(text)} is not HOST:PORT, because an IPv6 address needs brackets; use for example ${flag}=${suggestion}`,
    );
  }
  throw new ConfigError(
    `${flag}: ${JSON.stringify(text)} is not HOST:PORT; use for example ${flag}=0.0.0.0:8080 or ${flag}=:8080`,
  );
}

/** A host name or an IPv4 address. A host of digits and dots is valid only as an IPv4 address. */
const isHostname = (host: string): boolean =>
  /^[\d.]+$/.test(host) ? isIPv4(host) : host.length <= 253 && /^([a-z\d_]([-a-z\d_]{0,61}[a-z\d_])?\.?)+$/i.test(host);

/** Whether two servers cannot listen on both addresses. Host names are not resolved. */
export function overlap(one: ListenAddress, other: ListenAddress): boolean {
  if (one.port !== other.port || one.port === 0) return false;
  const [a, b] = [normalised(one.host), normalised(other.host)];
  const isAny4 = (host: string, second: string): boolean => host === '0.0.0.0' && !isIPv6(second);
  return a === b || a === '::' || b === '::' || isAny4(a, b) || isAny4(b, a);
}

const normalised = (host = '::'): string =>
  isIPv6(host) ? new URL(`http://[${host}]`).hostname.slice(1, -1) : host.toLowerCase();

/**
 * Why a server cannot listen, in a sentence. A ConfigError if the address itself is wrong, and not only in use.
 * @param error the error of listen(2) or of the lookup of the host
 */
export function listenError(flag: string, { host, port }: ListenAddress, error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  const shown = host !== undefined && isIPv6(host) ? `[${host}]` : (host ?? '');
  switch (code) {
    case 'EADDRINUSE':
      return new PortInUseError(
        `${flag}: another process uses ${shown}:${port}; use another port, or ${flag}=${shown}:0 for any free port`,
        { cause: error },
      );
    case 'EACCES':
      return new ConfigError(
        `${flag}: the operator may not listen on port ${port}; use for example ${flag}=${shown}:8080`,
        { cause: error },
      );
    case 'EADDRNOTAVAIL':
    case 'EINVAL':
    case 'EAFNOSUPPORT':
      return new ConfigError(
        `${flag}: this machine does not have the address ${shown}; use for example ${flag}=:${port}`,
        { cause: error },
      );
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new ConfigError(`${flag}: the host ${shown} cannot be resolved; use for example ${flag}=:${port}`, {
        cause: error,
      });
    default:
      return new ConfigError(`${flag}: the operator cannot listen on ${shown}:${port}: ${message}`, { cause: error });
  }
}

/** Another process listens on the address of a server. The message is one sentence. */
export class PortInUseError extends Error {
  override readonly name = 'PortInUseError';
}
