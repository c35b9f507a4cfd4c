import { minutes } from '../../../support/fixtures/times.ts';
import { next, old } from './rotation-roots.ts';
import { knows, rotationIn, rotationOf, type Situation, secretsOf } from './rotation-situation.ts';

// One situation or more for each phase of a rotation. In each of them, the gate of the phase is met.

/** No rotation is in progress. */
export const quiet: Situation = {
  signs: old,
  trusted: [old],
  status: knows([old]),
  secrets: secretsOf(old, old),
  monotonicMs: minutes(3),
};
export const distributing: Situation = {
  ...quiet,
  trusted: [old, next],
  next,
  rotation: rotationIn('Distributing'),
  status: knows([old, next], rotationOf('Distributing')),
  secrets: secretsOf(old, old, next),
};
export const switching: Situation = {
  ...quiet,
  signs: next,
  trusted: [next, old],
  previous: old,
  rotation: rotationIn('Switching'),
  status: knows([next, old], rotationOf('Switching')),
  secrets: secretsOf(next, next, old),
};
export const draining: Situation = {
  ...switching,
  rotation: rotationIn('Draining'),
  status: knows([next, old], rotationOf('Draining')),
};
export const retiring: Situation = {
  ...draining,
  trusted: [next],
  rotation: rotationIn('Retiring'),
  status: knows([next], rotationOf('Retiring')),
  secrets: secretsOf(next, next),
};
/** The new root overwrote the old one, whose key is gone. */
export const overwritten: Situation = {
  ...quiet,
  signs: next,
  trusted: [next, old],
  rotation: rotationIn('Distributing'),
  status: knows([old, next], rotationOf('Distributing')),
  secrets: secretsOf(old, old, next),
};
