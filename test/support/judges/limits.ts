import type { Question } from './question.ts';

/** Why some judges cannot answer a question. False if they can. */
export type Limit = (question: Question) => string | false;

export const noForm: Limit = ({ kind }) => kind === 'lint' && 'does not check the form';
export const noKeys: Limit = ({ kind }) => kind === 'key' && 'does not read private keys';
export const onlyForm: Limit = ({ kind }) => kind !== 'lint' && 'checks only the form';
export const ownClock: Limit = ({ at }) => at !== undefined && 'uses the clock of the machine';
export const onlyTls: Limit = ({ usage }) => usage === 'email' && 'knows only the usages of TLS';
export const noEmailNames: Limit = ({ name }) =>
  (name?.startsWith('email:') ?? false) && 'does not compare e-mail addresses';
export const onlyServerNames: Limit = ({ name, usage }) =>
  name !== undefined && usage === 'client' && 'compares only the names of servers';

/** The first limit that applies to a question. */
export const beyond =
  (...limits: readonly Limit[]): ((question: Question) => string | undefined) =>
  (question) =>
    limits.map((limit) => limit(question)).find((reason) => reason !== false) || undefined;
