import type { Site } from './site.ts';

/** A server and its client, configured as a section of docs/stacks.md says. */
export interface Stack {
  /** The title of the section. */
  readonly name: string;
  /** The MtlsCertificate that both mount, by name. */
  readonly certificate: string;
  /** Whether the client refuses a server with another name. */
  readonly checksServerName: boolean;
  /** Null, or a sentence that says what to install. */
  missing(): string | null;
  /** Starts the server. Its Secret is mounted, and whenever it changes the server is told in its own way. */
  start(site: Site): Promise<RunningStack>;
}

export interface RunningStack {
  /** Connects as a client does that mounts these folders, and does something real. */
  connect(client: Client): Promise<Outcome>;
  /** The ports on which the server listens for clients: of each member, if it has several. */
  readonly ports: readonly number[];
  /** The protocol in which a connection asks for TLS, by the name that openssl has for it; absent: TLS from the start. */
  readonly startsTlsBy?: 'postgres';
  /** A port for its own members, and what they mount: nobody else is let in there. */
  readonly membersOnly?: { readonly port: number; readonly folder: string };
  readonly stop: () => Promise<void>;
}

/** What a client mounts, and whom it looks for. */
export interface Client {
  /** Where ca.crt is. */
  readonly caFolder: string;
  /** Where tls.crt and tls.key are; absent: it has no certificate to show. */
  readonly folder?: string;
  /** True when it takes the server for another one. */
  readonly looksForAnother?: boolean;
}

export type Outcome =
  | {
      readonly ok: true;
      /** The serial number of the client's certificate, where the server tells which one it saw; lower-case hex. */
      readonly sawSerial?: string | undefined;
    }
  | { readonly ok: false; readonly error: string };
