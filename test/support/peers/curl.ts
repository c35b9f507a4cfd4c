import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

import { addressOf, type ClientPeer, readOutcome } from './peer.ts';
import { run } from './process.ts';

// https://curl.se/docs/manpage.html#EXIT: handshake failed, empty reply, send or receive failed, bad certificate.
const refusals = new Set([35, 52, 55, 56, 58, 60]);

/** curl 7.88 or later with OpenSSL or GnuTLS: its variable `certs` has the certificates that it verified. */
export const curlClient: ClientPeer = {
  name: 'curl',
  missing() {
    const version = /^curl (\d+)\.(\d+).*(OpenSSL|GnuTLS)/.exec(spawnSync('curl', ['--version']).stdout?.toString());
    const number = Number(version?.[1]) * 1000 + Number(version?.[2]);
    return number >= 7088
      ? null
      : 'curl 7.88 or later with OpenSSL or GnuTLS is not installed (Debian: apt-get install curl)';
  },
  async connect({ port, serverName, caFolder, folder, crlFolder }) {
    const { code, stdout, stderr } = await run([
      'curl',
      '--disable',
      '--silent',
      '--show-error',
      '--include',
      '--http1.1',
      '--noproxy',
      '*',
      '--connect-to',
      `::${addressOf(port)}`,
      '--cacert',
      join(caFolder, 'ca.crt'),
      ...(crlFolder === undefined ? [] : ['--crlfile', join(crlFolder, 'ca.crl')]),
      ...(folder === undefined ? [] : ['--cert', join(folder, 'tls.crt'), '--key', join(folder, 'tls.key')]),
      '--write-out',
      '%{stderr}%{certs}',
      `https://${serverName}/`,
    ]);
    if (code !== 0 && !refusals.has(code)) throw new Error(`curl ended with code ${code}: ${stderr}`);
    return readOutcome(code === 0 ? { code, stdout: stderr + stdout, stderr: '' } : { code, stdout: '', stderr });
  },
};
