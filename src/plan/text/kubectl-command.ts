import { annotations } from '../../api/constants.ts';

interface Named {
  readonly name: string;
}

interface Rotation {
  readonly id: string;
  readonly phase: string;
  /** The value that skip-gate had when the rotation was aborted. This value no longer has an effect. */
  readonly spentSkip?: string;
}

/** The command that lets certificates switch. */
export const approveCommand = (authority: Named, { id }: Pick<Rotation, 'id'>): string =>
  annotate(authority, `${annotations.approveRotation}=${id}`);

/** The command that skips the gate of the current phase, for one namespace or for all objects. */
export function skipCommand(authority: Named, { id, phase, spentSkip }: Rotation, namespace = ''): string {
  const value = (name: string) => `${id}/${name}${namespace === '' ? '' : `/${namespace}`}`;
  // Repeating the spent value would do nothing, so write the phase in lower case.
  const asked = value(phase) === spentSkip ? value(phase.toLowerCase()) : value(phase);
  return annotate(authority, `${annotations.skipGate}=${asked}`);
}

/** The command that starts a rotation of the root. */
export const rotateRootCommand = (authority: Named): string =>
  annotate(authority, `${annotations.rotateRoot}="$(date +%s)"`);

const annotate = ({ name }: Named, what: string): string =>
  `kubectl annotate mtlsauthority ${name} --overwrite ${what}`;
