import type { Question } from './question.ts';

/** Something that some judges cannot be asked, with the reason; false for all other questions. */
export type Limit = (question: Question) => string | false;

export const noForm: Limit = ({ kind }) => kind === 'lint' && 'judges no form';
export const noKeys: Limit = ({ kind }) => kind === 'key' && 'reads no private keys';
export const onlyForm: Limit = ({ kind }) => kind !== 'lint' && 'judges the form alone';
export const ownClock: Limit = ({ at }) => at !== undefined && 'goes by the clock of the machine';
export const onlyTls: Limit = ({ usage }) => usage === 'email' && 'knows no usages beside those of TLS';
export const noEmailNames: Limit = ({ name }) =>
  (name?.startsWith('email:') ?? false) && 'compares no e-mail addresses';
export const onlyServerNames: Limit = ({ name, usage }) =>
  name !== undefined && usage === 'client' && 'compares the names of servers alone';

/** The first of the limits that a question is beyond. */
export const beyond =
  (...limits: readonly Limit[]): ((question: Question) => string | undefined) =>
  (question) =>
    limits.map((limit) => limit(question)).find((reason) => reason !== false) || undefined;
