import { join } from 'node:path';

import { missing } from '../missing.ts';
import { beyond, noEmailNames, noForm, onlyServerNames, onlyTls, ownClock } from './limits.ts';
import { programJudge } from './program.ts';

/** Python's ssl, with the strict default of Python 3.13. */
export const python = programJudge(
  {
    name: 'Python',
    missing: missing.python,
    cannotSay: beyond(noForm, noEmailNames, onlyServerNames, onlyTls, ownClock),
  },
  () => ['python3', join(import.meta.dirname, 'python', 'judge.py')],
);
