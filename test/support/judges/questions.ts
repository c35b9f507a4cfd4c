import { join } from 'node:path';

import type { Combination } from './combination.ts';
import type { Exhibit } from './exhibit.ts';
import type { Name, Question, Usage } from './question.ts';

/** What is asked of every certificate. */
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

/** A question, and the one answer that is right. */
export interface Matter {
  readonly topic: Topic;
  readonly combination: Combination;
  readonly question: Question;
  readonly isGood: boolean;
}

/** All that is asked of a certificate, numbered from `firstId`. */
export function mattersOf(exhibit: Exhibit, firstId: number): Matter[] {
  const { combination, folder, expiredFolder, futureFolder, forgedFolder, impostors, notBefore, notAfter } = exhibit;
  let id = firstId;
  const matter = (topic: Topic, isGood: boolean, changes: Partial<Question>): Matter => ({
    topic,
    combination,
    isGood,
    question: { id: id++, kind: 'verify', folder, trust: join(folder, 'ca.crt'), usage: usages[0], ...changes },
  });
  const usages = usagesOf[combination.role];
  const each = <T>(items: readonly T[], make: (item: T) => Matter): Matter[] => items.map(make);
  const second = 1000;
  return [
    ...each(usages, (usage) => matter('right', true, { usage })),
    ...usages.flatMap((usage) => each(exhibit.names, (name) => matter('right name', true, { usage, name }))),
    matter('key', true, { kind: 'key' }),
    matter('form', true, { kind: 'lint' }),
    ...each(wrongNames, (name) => matter('wrong name', false, { name })),
    ...each(exhibit.commonName === undefined ? [] : [exhibit.commonName], (name) =>
      matter('common name', false, { name }),
    ),
    ...each(wrongUsagesOf[combination.role], (usage) => matter('wrong usage', false, { usage })),
    matter('wrong root', false, { trust: impostors }),
    matter('forged', false, { folder: forgedFolder }),
    matter('before', false, { at: new Date(notBefore.getTime() - second) }),
    matter('after', false, { at: new Date(notAfter.getTime() + second) }),
    // The same for those whose clock cannot be moved; two days off, whatever the time of the machine.
    matter('not begun', false, { folder: futureFolder }),
    matter('expired', false, { folder: expiredFolder }),
  ];
}

/** What linters are asked of the root that the operator makes for a combination, or of a certificate that is bad in form. */
export const formMatter = (
  topic: 'form of the root' | 'bad form',
  combination: Combination,
  folder: string,
  id: number,
): Matter => ({
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

/** None of them is in any certificate: others of a kind, the domain of a wildcard, and what is too deep for it. */
const wrongNames: readonly Name[] = [
  'dns:wrong.example.org',
  'dns:example.com',
  'dns:a.b.example.com',
  'ip:192.0.2.11',
  'ip:2001:db8::11',
  'email:other@example.com',
];
