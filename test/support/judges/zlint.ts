import { missing } from '../missing.ts';
import { beyond, onlyForm } from './limits.ts';
import { programJudge } from './program.ts';
import { goProgram } from './programs.ts';

/** zlint, with the lints that come from RFCs. */
export const zlint = programJudge({ name: 'zlint', missing: missing.go, cannotSay: beyond(onlyForm) }, async () =>
  goProgram('zlint', 'main.go', 'go.mod', 'go.sum'),
);
