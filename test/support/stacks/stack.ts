import type { Site } from './site.ts';

/** A server and its client, configured as in the documentation. */
export interface Stack {
  readonly name: string;
  /** The page in docs/how-to/stacks, without `.md`. */
  readonly page: string;
  /** The name of the MtlsCertificate that both mount. */
  readonly certificate: string;
  /** Whether the client refuses a server with another name. */
  readonly checksServerName: boolean;
  /** Null, or a sentence that says what to install. */
  missing(): string | null;
  /** Starts the server with its Secret mounted. After each change of the Secret, the server is reloaded in its own way. */
  start(site: Site): Promise<RunningStack>;
}

export interface RunningStack {
  /** Connects as a client that mounts these folders, and makes a real request. */
  connect(client: Client): Promise<Outcome>;
  /** The ports on which the server listens for clients; one for each member. */
  readonly ports: readonly number[];
  /** The protocol in which a connection starts TLS, by its name in openssl; absent: TLS from the start. */
  readonly startsTlsBy?: 'postgres';
  /** A port for members only, and the folder that they mount. The server refuses all other clients there. */
  readonly membersOnly?: { readonly port: number; readonly folder: string };
  readonly stop: () => Promise<void>;
}

/** The folders that a client mounts, and the server that it expects. */
export interface Client {
  /** The folder of ca.crt. */
  readonly caFolder: string;
  /** The folder of tls.crt and tls.key; absent: the client has no certificate. */
  readonly folder?: string;
  /** Whether the client expects a server with another name. */
  readonly looksForAnother?: boolean;
}

export type Outcome =
  | {
      readonly ok: true;
      /** The serial number of the client's certificate, if the server reports it; lower-case hex. */
      readonly sawSerial?: string | undefined;
    }
  | { readonly ok: false; readonly error: string };
