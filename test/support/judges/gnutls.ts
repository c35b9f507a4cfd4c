import { join } from 'node:path';

import { missing } from '../missing.ts';
import type { Command } from '../peers/process.ts';
import { beyond, noForm, ownClock } from './limits.ts';
import { commandJudge } from './program.ts';
import type { Question } from './question.ts';

const purposes = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2', email: '1.3.6.1.5.5.7.3.4' } as const;

const publicKey = 'certtool --pubkey-info --no-text';
const sameKey = `a=$(${publicKey} --load-privkey "$1") && b=$(${publicKey} --load-certificate "$2") && test "$a" = "$b"`;

/** GnuTLS, through its certtool. */
export const gnutls = commandJudge(
  {
    name: 'GnuTLS',
    missing: missing.certtool,
    cannotSay: beyond(noForm, ownClock),
  },
  ({ kind, folder, trust, usage, name }: Question): Command => {
    if (kind === 'key') return ['sh', '-c', sameKey, 'sh', join(folder, 'tls.key'), join(folder, 'tls.crt')];
    const [type = '', value = ''] = name?.split(/:(.*)/s) ?? [];
    return [
      'certtool',
      '--verify',
      '--infile',
      join(folder, 'tls.crt'),
      '--load-ca-certificate',
      trust,
      '--verify-purpose',
      purposes[usage],
      ...(name === undefined ? [] : [type === 'email' ? '--verify-email' : '--verify-hostname', value]),
    ];
  },
);
