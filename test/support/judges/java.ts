import { missing } from '../missing.ts';
import { beyond, noEmailNames, noForm, onlyServerNames, onlyTls } from './limits.ts';
import { programJudge } from './program.ts';
import { built } from './programs.ts';

/** Java's PKIX, inside its JSSE. */
export const java = programJudge(
  {
    name: 'Java',
    missing: missing.jdk,
    cannotSay: beyond(noForm, noEmailNames, onlyServerNames, onlyTls),
  },
  async () => {
    const classes = await built('java', ['Judge.java'], (output, source) => [
      'javac',
      '--release',
      '17',
      '-d',
      output,
      source,
    ]);
    // With all JIT compilers: they make the arithmetic of large RSA keys several times faster.
    return ['java', '-XX:+UseSerialGC', '-cp', classes, 'Judge'];
  },
);
