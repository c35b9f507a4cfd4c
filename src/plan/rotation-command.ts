import { annotations } from '../api/names.ts';
import type { AuthorityRecord } from './observed-authority.ts';
import type { RotationNote } from './rotation-note.ts';

type Named = Pick<AuthorityRecord, 'name'>;

/** What a person types to let certificates switch. */
export const approveCommand = (authority: Named, { id }: Pick<RotationNote, 'id'>): string =>
  annotate(authority, `${annotations.approveRotation}=${id}`);

/** What a person types so that the present phase no longer waits, for one namespace or, without one, for anything. */
export function skipCommand(authority: Named, { id, phase, spentSkip }: RotationNote, namespace = ''): string {
  const value = (name: string) => `${id}/${name}${namespace === '' ? '' : `/${namespace}`}`;
  // The value that is there already asks for nothing new.
  const asked = value(phase) === spentSkip ? value(phase.toLowerCase()) : value(phase);
  return annotate(authority, `${annotations.skipGate}=${asked}`);
}

/** What a person types to have the root rotated. */
export const rotateRootCommand = (authority: Named): string =>
  annotate(authority, `${annotations.rotateRoot}="$(date +%s)"`);

const annotate = ({ name }: Named, what: string): string =>
  `kubectl annotate mtlsauthority ${name} --overwrite ${what}`;
