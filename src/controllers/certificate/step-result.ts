import type { FoundSecret, ObservedRole, RoleOutcome } from '../../plan/index.ts';
import type { IssuedRole } from './certificate-events.ts';

/** How the step of one role ended. */
export interface StepResult {
  readonly outcome: RoleOutcome;
  readonly issued?: Omit<IssuedRole, 'role'>;
  readonly adopted?: boolean;
  readonly isWritten?: boolean;
  /** The step undid a change of another writer, or the other writer was faster on every attempt. */
  readonly isRepaired?: boolean;
  /** Present when the step was attempted and failed. */
  readonly failure?: { readonly isRefusal: boolean };
  /** When the generation of its key started. Absent when no key is being generated. */
  readonly pendingSince?: Date;
}

/** A role with the Secret that was found for it. */
export function withSecret(observed: ObservedRole, found: FoundSecret): ObservedRole {
  const { secret: _, foreign: __, ...role } = observed;
  return { ...role, ...found };
}
