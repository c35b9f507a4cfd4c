import { join } from 'node:path';

import { beyond, noEmailNames, noForm, onlyServerNames, onlyTls, ownClock } from './limits.ts';
import { programJudge } from './program.ts';

/** Node's tls, in a separate process. */
export const node = programJudge(
  {
    name: 'Node.js',
    missing: () => null,
    cannotSay: beyond(noForm, noEmailNames, onlyServerNames, onlyTls, ownClock),
  },
  () => [process.execPath, join(import.meta.dirname, 'node', 'judge.ts')],
);
