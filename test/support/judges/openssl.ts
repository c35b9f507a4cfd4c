import { join } from 'node:path';

import { missing } from '../missing.ts';
import type { Command } from '../peers/process.ts';
import { beyond, noForm } from './limits.ts';
import { commandJudge } from './program.ts';
import type { Question } from './question.ts';

const purposes = { server: 'sslserver', client: 'sslclient', email: 'smimesign' } as const;
const nameOptions: Readonly<Record<string, string>> = { dns: 'hostname', ip: 'ip', email: 'email' };

/** The openssl command line in strict mode. */
export const openssl = commandJudge(
  {
    name: 'OpenSSL',
    missing: missing.openssl,
    cannotSay: beyond(noForm),
  },
  ({ kind, folder, trust, usage, name, at }: Question): Command => {
    const certificate = join(folder, 'tls.crt');
    // Exports certificate and key to a keystore, which fails if they do not belong together.
    if (kind === 'key') {
      const files = ['-in', certificate, '-inkey', join(folder, 'tls.key'), '-out', '/dev/null'];
      return ['openssl', 'pkcs12', '-export', ...files, '-passout', 'pass:'];
    }
    const [type = '', value = ''] = name?.split(/:(.*)/s) ?? [];
    return [
      'openssl',
      'verify',
      '-x509_strict',
      '-no-CApath',
      '-no-CAstore',
      '-CAfile',
      trust,
      '-untrusted',
      certificate,
      '-purpose',
      purposes[usage],
      ...(name === undefined ? [] : [`-verify_${nameOptions[type]}`, value]),
      ...(at === undefined ? [] : ['-attime', String(Math.floor(at.getTime() / 1000))]),
      certificate,
    ];
  },
);
