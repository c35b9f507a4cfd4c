import { describe } from 'node:test';
import { subjectText } from '../../../src/pki/index.ts';
import type { RotationStep } from '../../../src/plan/index.ts';
import { days, hours, later, root } from '../../support/fixtures.ts';
import { brought, firstNote, making, next, old, quiet, type Situation } from './rotation-situation.ts';
import { type Case, check, rotate } from './rotation-table.ts';

const at = later(days(3650));
const asked = { rotateRootToken: 'a' };
const young = root({ name: 'Young', at: later(days(3600)) });
const verdict = {
  state: 'notReady',
  reason: 'RootExpired',
  message: `the root (${subjectText(old.certificate)}) expired at ${old.certificate.notAfter.toISOString()}; replace it`,
} as const;

const times = {
  id: at.getTime().toString(36),
  startedAt: `${at.toISOString().slice(0, 19)}Z`,
  since: at.toISOString(),
};
/** The step that replaces it, and keeps it beside the new one. */
const replaces = (trusted: readonly (typeof old)[], more: Partial<RotationStep> = {}): RotationStep =>
  rotate(['RotationStarted', 'the root that has expired is replaced: it was asked for'], trusted, {
    make: {
      slot: 'active',
      profile: { subject: { commonName: 'mTLS Root' }, durationMs: hours(87_600) },
      key: { algorithm: 'ECDSA', size: 256 },
    },
    move: { next: null, previous: 'active' },
    note: { ...firstNote([old], undefined, 'Switching'), ...times },
    handled: 'a',
    ...more,
  });
const keeps = (given: Situation): Case => ({ given, at, plan: { step: { step: 'keep' }, verdict } });

describe('a root that has expired', () => {
  check({
    'stays as it is, and signs nothing': keeps(quiet),
    'is replaced at once when that is asked for, and kept as the one before': {
      given: { ...quiet, asked },
      at,
      plan: { step: replaces([old]), verdict },
    },
    'is not replaced for a value that was handled': keeps({ ...quiet, asked, handled: 'a' }),
    'is not replaced for a value that status remembers': keeps({
      ...quiet,
      asked,
      status: { ...quiet.status, lastHandledRotateRoot: 'a' },
    }),
    'is not replaced where no root can be made': keeps({ ...quiet, asked, spec: brought }),
    'is not replaced by a root that cannot be made': keeps({ ...quiet, asked, spec: making({ duration: 'x' }) }),
    'is not replaced by what a person has staged without being asked': keeps({ ...quiet, next }),
    'is replaced by the next root where there is one': {
      given: { ...quiet, asked, next: young },
      at,
      plan: {
        step: rotate(['RotationStarted', 'the root that has expired is replaced: it was asked for'], [old, young], {
          move: { active: 'next', next: null, previous: 'active' },
          note: { ...firstNote([old], young, 'Switching'), ...times },
          handled: 'a',
        }),
        verdict,
      },
    },
    'is replaced although status was lost': {
      given: { ...quiet, asked, status: {} },
      at,
      plan: { step: replaces([old], { note: { ...firstNote([], undefined, 'Switching'), ...times } }), verdict },
    },
    'is not kept in ca.crt by a person who took it out': {
      given: { ...quiet, asked, trusted: [next] },
      at,
      plan: { step: replaces([next], { note: { ...firstNote([old], undefined, 'Switching'), ...times } }), verdict },
    },
  });
});
