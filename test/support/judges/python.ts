import { join } from 'node:path';

import { succeeds } from '../peers/process.ts';
import { beyond, noEmailNames, noForm, onlyServerNames, onlyTls, ownClock } from './limits.ts';
import { programJudge } from './program.ts';

/** Python's ssl, as strict as it is by default since 3.13. */
export const python = programJudge(
  {
    name: 'Python',
    missing: () =>
      succeeds(['python3', '-c', 'import ssl; ssl.VERIFY_X509_PARTIAL_CHAIN'])
        ? null
        : 'Python 3.10 or later is not installed (Debian: apt-get install python3)',
    cannotSay: beyond(noForm, noEmailNames, onlyServerNames, onlyTls, ownClock),
  },
  () => ['python3', join(import.meta.dirname, 'python', 'judge.py')],
);
