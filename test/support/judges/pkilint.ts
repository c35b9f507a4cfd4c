import { join } from 'node:path';

import { missing } from '../missing.ts';
import { beyond, onlyForm } from './limits.ts';
import { programJudge } from './program.ts';
import { built } from './programs.ts';

/** pkilint, with the checks of lint_pkix_cert. */
export const pkilint = programJudge(
  {
    name: 'pkilint',
    missing: missing.pythonVenv,
    cannotSay: beyond(onlyForm),
  },
  async () => {
    const install = 'python3 -m venv "$1" && "$1/bin/python" -m pip install --quiet --no-deps -r "$2"';
    const environment = await built('pkilint', ['requirements.txt'], (output, requirements) => [
      'sh',
      '-c',
      install,
      'sh',
      output,
      requirements,
    ]);
    return [join(environment, 'bin', 'python'), join(import.meta.dirname, 'pkilint', 'judge.py')];
  },
);
