import type { RequestOptions } from 'node:https';

/** The address of an API server and its credentials. */
export interface ApiServer {
  /** An absolute URL, including the prefix of every API path. */
  readonly url: string;
  /** The proxy-url of the kubeconfig. */
  readonly proxyUrl?: string | undefined;
  /** Reads the credentials from files, a login program or memory. */
  readonly credentials: () => Promise<Credentials>;
}

/** The TLS settings, `auth` and `headers` of every request. They contain the credential: never log them. */
export type Credentials = RequestOptions;
