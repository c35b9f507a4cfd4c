import { X509Certificate } from 'node:crypto';

import type { Finished } from './process.ts';

/** A program that serves mutual TLS from a mounted Secret: it requires a client certificate that `ca.crt` verifies. */
export interface ServerPeer {
  readonly name: string;
  /** Whether new connections use the current content of the folder. Otherwise the server has to be restarted. */
  readonly followsFolder: boolean;
  /** Null, or a sentence that says what to install. */
  missing(): string | null;
  /** Serves on 127.0.0.1 with tls.crt, tls.key and ca.crt in `folder`. Throws if the program does not start. */
  start(folder: string, options?: ServerOptions): Promise<RunningServer>;
}

/** The HOST:PORT of a port, which is one of 127.0.0.1 unless it has a host. */
export function addressOf(port: number | string): string {
  return String(port).includes(':') ? String(port) : `127.0.0.1:${port}`;
}

export interface ServerOptions {
  readonly port?: number;
  /** The folder of ca.crl. The server refuses clients with a revoked certificate. Absent: it does not check CRLs. */
  readonly crlFolder?: string;
}

export interface RunningServer {
  readonly port: number;
  /** Everything that it has printed so far. */
  readonly log: () => string;
  /** Resolves when new connections use the current content of the folder. Absent if the server has to be restarted. */
  readonly reload?: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** A program that connects with mutual TLS from a mounted Secret, and verifies the server and its name. */
export interface ClientPeer {
  readonly name: string;
  missing(): string | null;
  /** Throws if no server responds, so that an outage is not mistaken for a refusal. */
  connect(request: ConnectRequest): Promise<Outcome>;
}

export interface ConnectRequest {
  /** A port of 127.0.0.1, or HOST:PORT. */
  readonly port: number | string;
  /** Sent as SNI, and verified against the server's certificate. */
  readonly serverName: string;
  /** The folder of the ca.crt that verifies the server. */
  readonly caFolder: string;
  /** The folder of tls.crt and tls.key. Absent: the client has no certificate. */
  readonly folder?: string;
  /** The folder of ca.crl. The client refuses a server with a revoked certificate. Absent: it does not check CRLs. */
  readonly crlFolder?: string;
}

/**
 * The outcome of a connection. It is accepted only if the client read the server's response: in TLS 1.3 the client completes
 * its handshake before the server verifies the client's certificate.
 */
export type Outcome =
  | {
      readonly ok: true;
      /** Identity and serial number of the server, from the certificate that the client verified. */
      readonly peerIdentity: string;
      readonly peerSerial: string;
      /** Identity of the client, from the certificate that the server reports; absent if the server saw none. */
      readonly serverSawClient: string | undefined;
      /** Serial number of the client's certificate, as the server reports it. */
      readonly serverSawSerial: string | undefined;
    }
  | { readonly ok: false; readonly error: string };

/** The URI names (a SPIFFE ID). Without any, all subject alternative names; without those, the subject. */
export function identityOf(certificate: X509Certificate): string {
  const names = certificate.subjectAltName?.split(', ') ?? [];
  const uris = names.filter((name) => name.startsWith('URI:')).map((name) => name.slice('URI:'.length));
  return (uris.length > 0 ? uris : names).join(', ') || certificate.subject;
}

/** The serial number in the format of status: lower-case hex. */
export function serialOf(certificate: X509Certificate): string {
  return certificate.serialNumber.toLowerCase();
}

/**
 * Reads the output of any client: the server's certificate in PEM, then the HTTP response with the client's certificate in
 * its body, in PEM. The output of a client that was refused has no response, or one with another status than 200.
 */
export function readOutcome({ stdout, stderr }: Finished): Outcome {
  // Not anchored to a line: s_client prints its report of session tickets anywhere.
  const status = /HTTP\/1\.[01] (\d{3}.*)/.exec(stdout);
  if (status?.[1] === undefined) return { ok: false, error: stderr.trim() || 'the server closed the connection' };
  if (!status[1].startsWith('200')) return { ok: false, error: /<title>(.*)<\/title>/.exec(stdout)?.[1] ?? status[1] };
  const server = firstCertificate(stdout.slice(0, status.index));
  const client = firstCertificate(stdout.slice(status.index));
  if (server === undefined) throw new Error('the client did not print the certificate that it verified');
  return {
    ok: true,
    peerIdentity: identityOf(server),
    peerSerial: serialOf(server),
    serverSawClient: client && identityOf(client),
    serverSawSerial: client && serialOf(client),
  };
}

/** The certificates in `text`, in PEM. */
export function pemCertificates(text: string): string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

function firstCertificate(text: string): X509Certificate | undefined {
  const [pem] = pemCertificates(text);
  return pem === undefined ? undefined : new X509Certificate(pem);
}
