import { X509Certificate } from 'node:crypto';

import type { Finished } from './process.ts';

/** A program that serves mutual TLS from a mounted Secret: it needs a client certificate that `ca.crt` verifies. */
export interface ServerPeer {
  readonly name: string;
  /** A new connection gets what the folder holds then; otherwise the server has to be started again. */
  readonly followsFolder: boolean;
  /** Null, or a sentence that says what to install. */
  missing(): string | null;
  /** Serves on 127.0.0.1 with `folder`'s tls.crt, tls.key and ca.crt. Throws when the program does not come up. */
  start(folder: string, options?: ServerOptions): Promise<RunningServer>;
}

export interface ServerOptions {
  readonly port?: number;
  /** Where ca.crl is, on which no client's certificate may be. Absent: CRLs are not checked. */
  readonly crlFolder?: string;
}

export interface RunningServer {
  readonly port: number;
  /** Everything that it has printed until now. */
  readonly log: () => string;
  /** Resolves when new connections get what the folder holds now; absent when there is no such way but to start again. */
  readonly reload?: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** A program that connects with mutual TLS from a mounted Secret, and verifies the server and its name. */
export interface ClientPeer {
  readonly name: string;
  missing(): string | null;
  /** Throws when there was no server to talk to, so that an outage is never taken for a refusal. */
  connect(request: ConnectRequest): Promise<Outcome>;
}

export interface ConnectRequest {
  readonly port: number;
  /** Sent as SNI, and verified against the server's certificate. */
  readonly serverName: string;
  /** Where ca.crt is, which verifies the server. */
  readonly caFolder: string;
  /** Where tls.crt and tls.key are. Absent: the client has no certificate to show. */
  readonly folder?: string;
  /** Where ca.crl is, on which the server's certificate may not be. Absent: CRLs are not checked. */
  readonly crlFolder?: string;
}

/**
 * How a connection ended. It is accepted only when the server's answer was read: in TLS 1.3 the client's handshake is
 * complete before the server has looked at the client's certificate.
 */
export type Outcome =
  | {
      readonly ok: true;
      /** Identity and serial number of the server, from the certificate that the client verified. */
      readonly peerIdentity: string;
      readonly peerSerial: string;
      /** Identity of the client, from the certificate that the server says it verified; absent when it saw none. */
      readonly serverSawClient: string | undefined;
      /** Its serial number. */
      readonly serverSawSerial: string | undefined;
    }
  | { readonly ok: false; readonly error: string };

/** The URI names (a SPIFFE ID), else all subject alternative names, else the subject. */
export function identityOf(certificate: X509Certificate): string {
  const names = certificate.subjectAltName?.split(', ') ?? [];
  const uris = names.filter((name) => name.startsWith('URI:')).map((name) => name.slice('URI:'.length));
  return (uris.length > 0 ? uris : names).join(', ') || certificate.subject;
}

/** The serial number as status writes it: lower-case hex. */
export function serialOf(certificate: X509Certificate): string {
  return certificate.serialNumber.toLowerCase();
}

/**
 * Reads what every client prints: first the server's certificate in PEM, then the HTTP response, whose body holds the
 * client's certificate in PEM. `finished` of a client that was refused has no response, or one that is not 200.
 */
export function readOutcome({ stdout, stderr }: Finished): Outcome {
  // Not anchored to a line: s_client writes its report of session tickets into the middle of things.
  const status = /HTTP\/1\.[01] (\d{3}.*)/.exec(stdout);
  if (status?.[1] === undefined) return { ok: false, error: stderr.trim() || 'the server closed the connection' };
  if (!status[1].startsWith('200')) return { ok: false, error: /<title>(.*)<\/title>/.exec(stdout)?.[1] ?? status[1] };
  const server = firstCertificate(stdout.slice(0, status.index));
  const client = firstCertificate(stdout.slice(status.index));
  if (server === undefined) throw new Error('the client does not say which certificate it verified');
  return {
    ok: true,
    peerIdentity: identityOf(server),
    peerSerial: serialOf(server),
    serverSawClient: client && identityOf(client),
    serverSawSerial: client && serialOf(client),
  };
}

/** The certificates in `text`, each in PEM. */
export function pemCertificates(text: string): string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

function firstCertificate(text: string): X509Certificate | undefined {
  const [pem] = pemCertificates(text);
  return pem === undefined ? undefined : new X509Certificate(pem);
}
