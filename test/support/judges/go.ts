import { missing } from '../missing.ts';
import { beyond, noEmailNames, noForm } from './limits.ts';
import { programJudge } from './program.ts';
import { goProgram } from './programs.ts';

/** Go's crypto/x509, and crypto/tls for keys. */
export const go = programJudge({ name: 'Go', missing: missing.go, cannotSay: beyond(noForm, noEmailNames) }, async () =>
  goProgram('go', 'main.go', 'go.mod'),
);
