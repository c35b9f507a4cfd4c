import type { FoundSecret, ObservedRole, RoleOutcome } from '../../plan/index.ts';
import type { IssuedRole } from './certificate-events.ts';

/** How the step of one role has ended. */
export interface StepResult {
  readonly outcome: RoleOutcome;
  readonly issued?: Omit<IssuedRole, 'role'>;
  readonly adopted?: boolean;
  readonly isWritten?: boolean;
  /** What another writer did to the Secret was undone, or is now as often as it was tried. */
  readonly isRepaired?: boolean;
  /** Present when the step was tried and failed. */
  readonly failure?: { readonly isRefusal: boolean };
  /** Since when its key is being generated. */
  readonly pendingSince?: Date;
}

/** A role with the Secret, or the foreign Secret, that was found for it. */
export function withSecret(observed: ObservedRole, found: FoundSecret): ObservedRole {
  const { secret: _, foreign: __, ...role } = observed;
  return { ...role, ...found };
}
