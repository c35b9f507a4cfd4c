import type { RequestOptions } from 'node:https';

/** The address of an API server, and the credentials for it. */
export interface ApiServer {
  /** An absolute URL, with the path in front of every API path. */
  readonly url: string;
  /** The proxy that the kubeconfig names. */
  readonly proxyUrl?: string | undefined;
  /** Reads the credentials from their source: files, a login program, or memory. */
  readonly credentials: () => Promise<Credentials>;
}

/** The TLS settings, `auth` and `headers` of every request. They hold the credential: never log them. */
export type Credentials = RequestOptions;
