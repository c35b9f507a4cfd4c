import { annotations } from '../../api/constants.ts';

/** An MtlsAuthority. */
interface Named {
  readonly name: string;
}

/** The rotation of its root that is under way. */
interface Rotation {
  readonly id: string;
  readonly phase: string;
  /** The last value of skip-gate that the operator has acted on. */
  readonly spentSkip?: string;
}

/** What a person types to let certificates switch. */
export const approveCommand = (authority: Named, { id }: Pick<Rotation, 'id'>): string =>
  annotate(authority, `${annotations.approveRotation}=${id}`);

/** What a person types so that the present phase no longer waits, for one namespace or, without one, for anything. */
export function skipCommand(authority: Named, { id, phase, spentSkip }: Rotation, namespace = ''): string {
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
