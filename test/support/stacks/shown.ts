import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';

import { pemCertificates, serialOf } from '../peers/peer.ts';
import { run } from '../peers/process.ts';
import type { RunningStack } from './stack.ts';

/**
 * The serial number of the certificate that a server presents on new connections, the same from each of its members, as
 * openssl sees it. openssl verifies it with the client certificate and the roots in `folder`. Throws if the certificate is
 * missing, invalid or different between members.
 */
export async function shownSerial({ ports, startsTlsBy }: RunningStack, folder: string): Promise<string> {
  const own = ['-cert', join(folder, 'tls.crt'), '-key', join(folder, 'tls.key')];
  const trust = ['-CAfile', join(folder, 'ca.crt'), '-no-CApath', '-no-CAstore', '-verify_return_error'];
  const protocol = startsTlsBy === undefined ? [] : ['-starttls', startsTlsBy];
  const serials = new Set<string>();
  for (const port of ports) {
    const connect = ['s_client', '-connect', `127.0.0.1:${port}`, ...protocol];
    const { stdout, stderr } = await run(['openssl', ...connect, ...own, ...trust]);
    const [pem] = pemCertificates(stdout);
    assert.ok(pem !== undefined && stdout.includes('Verify return code: 0 (ok)'), `openssl s_client: ${stderr}`);
    serials.add(serialOf(new X509Certificate(pem)));
  }
  const [serial, ...others] = serials;
  assert.ok(
    serial !== undefined && others.length === 0,
    `the members present different certificates: ${[...serials].join(', ')}`,
  );
  return serial;
}

/** Whether the server on this HTTPS port accepts a client that mounts `folder`. Throws if no server responds. */
export async function isLetIn(port: number, folder: string): Promise<boolean> {
  const own = ['--cert', join(folder, 'tls.crt'), '--key', join(folder, 'tls.key'), '--cacert', join(folder, 'ca.crt')];
  const url = `https://127.0.0.1:${port}/version`;
  const { code, stderr } = await run([
    'curl',
    '--disable',
    '--http1.1',
    '--noproxy',
    '*',
    '--silent',
    '--show-error',
    ...own,
    url,
  ]);
  // 35: the handshake failed. 52, 55 and 56: the server closed the connection or sent an alert after the handshake.
  if (![0, 35, 52, 55, 56].includes(code)) throw new Error(`curl ended with code ${code}: ${stderr}`);
  return code === 0;
}
