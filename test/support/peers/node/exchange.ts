import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { type SecureContextOptions, type TLSSocket, connect as tlsConnect } from 'node:tls';

/** One side refused the other. */
export class RefusedError extends Error {}

/**
 * Makes one connection. Returns the certificate that it verified, followed by the response of the server. Throws a
 * RefusedError if one side refused the other, and another error if there is no server.
 */
export async function exchange(port: string, serverName: string, secret: SecureContextOptions): Promise<string> {
  const socket = connect(socketAddress(port));
  await once(socket, 'connect');
  try {
    const connection = tlsConnect({ ...secret, socket, servername: serverName });
    connection.setTimeout(30_000, () => connection.destroy(new Error('silent for 30 seconds')));
    await once(connection, 'secureConnect');
    const certificate = peerCertificate(connection);
    connection.write(`GET / HTTP/1.1\r\nHost: ${serverName}\r\nConnection: close\r\n\r\n`);
    return certificate + (await text(connection));
  } catch (error) {
    throw new RefusedError(error instanceof Error ? error.message : String(error), { cause: error });
  } finally {
    socket.destroy();
  }
}

/** `port` is a port of 127.0.0.1, or HOST:PORT. */
export function socketAddress(port: string): { readonly host: string; readonly port: number } {
  const [host = '', number] = port.includes(':') ? port.split(':') : ['127.0.0.1', port];
  return { host, port: Number(number) };
}

/** The certificate of the other side in PEM; empty if it presented none. */
export function peerCertificate(connection: TLSSocket): string {
  return connection.getPeerX509Certificate()?.toString() ?? '';
}
