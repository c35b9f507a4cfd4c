import { join } from 'node:path';

import type { Combination } from './combination.ts';
import type { Exhibit } from './exhibit.ts';
import type { Name, Question, Usage } from './question.ts';

/** The kinds of question about a certificate. */
export type Topic =
  | 'right'
  | 'right name'
  | 'key'
  | 'form'
  | 'form of the root'
  | 'bad form'
  | 'wrong name'
  | 'common name'
  | 'wrong usage'
  | 'wrong root'
  | 'forged'
  | 'before'
  | 'after'
  | 'not begun'
  | 'expired';

/** A question and its correct answer. */
export interface ExpectedAnswer {
  readonly topic: Topic;
  readonly combination: Combination;
  readonly question: Question;
  readonly isGood: boolean;
}

/** All questions about a certificate, with ids from `firstId`. */
export function expectedAnswers(exhibit: Exhibit, firstId: number): ExpectedAnswer[] {
  const { combination, folder, expiredFolder, futureFolder, forgedFolder, impostors, notBefore, notAfter } = exhibit;
  let id = firstId;
  const answer = (topic: Topic, isGood: boolean, changes: Partial<Question>): ExpectedAnswer => ({
    topic,
    combination,
    isGood,
    question: { id: id++, kind: 'verify', folder, trust: join(folder, 'ca.crt'), usage: usages[0], ...changes },
  });
  const usages = usagesOf[combination.role];
  const each = <T>(items: readonly T[], make: (item: T) => ExpectedAnswer): ExpectedAnswer[] => items.map(make);
  const second = 1000;
  return [
    ...each(usages, (usage) => answer('right', true, { usage })),
    ...usages.flatMap((usage) => each(exhibit.names, (name) => answer('right name', true, { usage, name }))),
    answer('key', true, { kind: 'key' }),
    answer('form', true, { kind: 'lint' }),
    ...each(wrongNames, (name) => answer('wrong name', false, { name })),
    ...each(exhibit.commonName === undefined ? [] : [exhibit.commonName], (name) =>
      answer('common name', false, { name }),
    ),
    ...each(wrongUsagesOf[combination.role], (usage) => answer('wrong usage', false, { usage })),
    answer('wrong root', false, { trust: impostors }),
    answer('forged', false, { folder: forgedFolder }),
    answer('before', false, { at: new Date(notBefore.getTime() - second) }),
    answer('after', false, { at: new Date(notAfter.getTime() + second) }),
    // The same for judges that use the clock of the machine; two days off, to be safe from time zones and clock errors.
    answer('not begun', false, { folder: futureFolder }),
    answer('expired', false, { folder: expiredFolder }),
  ];
}

/** A question for linters about the root that the operator creates for a combination, or about a malformed certificate. */
export const expectedFormAnswer = (
  topic: 'form of the root' | 'bad form',
  combination: Combination,
  folder: string,
  id: number,
): ExpectedAnswer => ({
  topic,
  combination,
  isGood: topic !== 'bad form',
  question: { id, kind: 'lint', folder, trust: join(folder, 'tls.crt'), usage: 'server' },
});

const usagesOf: Record<Combination['role'], readonly [Usage, ...Usage[]]> = {
  server: ['server'],
  client: ['client'],
  peer: ['server', 'client'],
};

const wrongUsagesOf: Record<Combination['role'], readonly Usage[]> = {
  server: ['client', 'email'],
  client: ['server', 'email'],
  peer: ['email'],
};

/** Names that no certificate has: others of each kind, the parent domain of a wildcard, and a name too deep for it. */
const wrongNames: readonly Name[] = [
  'dns:wrong.example.org',
  'dns:example.com',
  'dns:a.b.example.com',
  'ip:192.0.2.11',
  'ip:2001:db8::11',
  'email:other@example.com',
];
