import { join } from 'node:path';

import { missing } from '../missing.ts';
import { beyond, noEmailNames, noForm, noKeys } from './limits.ts';
import { programJudge } from './program.ts';
import { built } from './programs.ts';

/** NSS, through its library: its commands need certificates in a database, and do not compare names. */
export const nss = programJudge(
  {
    name: 'NSS',
    missing: missing.nss,
    cannotSay: beyond(noForm, noKeys, noEmailNames),
  },
  async () => {
    const build = 'cc -O1 -Wall -Wextra -Werror -o "$1/judge" "$2" $(pkg-config --cflags --libs nss)';
    const folder = await built('nss', ['judge.c'], (output, source) => ['sh', '-c', build, 'sh', output, source]);
    return [join(folder, 'judge')];
  },
);
