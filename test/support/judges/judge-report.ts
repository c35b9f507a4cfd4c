import { type Combination, describeCombination } from './combination.ts';
import { type Disagreement, disagreements } from './disagreements.ts';
import type { Judge, Question, Verdict } from './question.ts';
import type { ExpectedAnswer, Topic } from './questions.ts';

/** A verdict that is not the expected one. */
interface WrongAnswer {
  readonly topic: Topic;
  readonly combination: Combination;
  readonly question: Question;
  readonly verdict: Verdict;
}

/** The result of asking a judge all questions. */
export interface JudgeReport {
  readonly judge: string;
  readonly verdicts: number;
  /** The number of expected refusals. A judge that never refuses checks nothing. */
  readonly refusals: number;
  /** The number of questions that the judge cannot answer, by reason. */
  readonly notAsked: ReadonlyMap<string, number>;
  /** The number of wrong answers that are listed in disagreements.ts, by entry. */
  readonly known: ReadonlyMap<Disagreement, number>;
  readonly unknown: readonly WrongAnswer[];
  /** Remarks of a linter on certificates that it accepts, and how often. */
  readonly remarks: ReadonlyMap<string, number>;
  readonly seconds: number;
}

/** Asks a judge all questions that it can answer, and compares its verdicts with the expected ones. */
export async function askJudge(judge: Judge, questions: readonly ExpectedAnswer[]): Promise<JudgeReport> {
  const started = performance.now();
  const notAsked = new Map<string, number>();
  const answerable = questions.filter(({ question }) => {
    const reason = judge.cannotSay(question);
    if (reason !== undefined) count(notAsked, reason);
    return reason === undefined;
  });
  const verdicts = await judge.judge(answerable.map(({ question }) => question));
  const known = new Map<Disagreement, number>();
  const unknown: WrongAnswer[] = [];
  const remarks = new Map<string, number>();
  let refusals = 0;
  for (const { topic, combination, question, isGood } of answerable) {
    const verdict = verdicts.get(question.id);
    if (verdict === undefined) throw new Error(`${judge.name} did not answer question ${question.id}`);
    if (verdict.accepted && question.kind === 'lint' && verdict.words !== '') count(remarks, verdict.words);
    if (!verdict.accepted && !isGood) refusals += 1;
    if (verdict.accepted === isGood) continue;
    const wrong = { topic, combination, question, verdict };
    const entries = complaints(wrong).map((words) =>
      disagreements.find((entry) => isKnown(entry, judge.name, wrong, words)),
    );
    if (entries.includes(undefined)) unknown.push(wrong);
    for (const entry of entries) if (entry !== undefined) count(known, entry);
  }
  const seconds = (performance.now() - started) / 1000;
  return { judge: judge.name, verdicts: verdicts.size, refusals, notAsked, known, unknown, remarks, seconds };
}

/** A linter may report several findings. Each of them has to be listed. */
const complaints = ({ question, verdict: { words } }: WrongAnswer): string[] =>
  question.kind === 'lint' ? words.split('; ') : [words];

function isKnown(
  { judges, topics, when, says }: Disagreement,
  judge: string,
  { topic, combination, question }: WrongAnswer,
  words: string,
): boolean {
  const applies = judges.includes(judge) && topics.includes(topic) && when(combination, question);
  return applies && (says?.test(words) ?? true);
}

function count<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** The disagreements that are not listed, grouped by kind. */
export function describeUnknown({ judge, unknown }: JudgeReport): string {
  const groups = new Map<string, WrongAnswer[]>();
  for (const wrong of unknown) {
    const { topic, question, verdict } = wrong;
    const words = verdict.words.replaceAll(question.folder, '').slice(0, 500);
    const kind = `${topic}: ${verdict.accepted ? 'accepts' : `refuses (${words})`}`;
    groups.set(kind, [...(groups.get(kind) ?? []), wrong]);
  }
  return [...groups]
    .map(([kind, wrong]) => {
      const examples = wrong
        .slice(0, 5)
        .map(({ combination, question: { usage, name = 'no name' } }) =>
          [describeCombination(combination), `as ${usage}`, name].join(', '),
        );
      return [`${judge} disagrees ${wrong.length} times on ${kind}`, ...examples].join('\n    ');
    })
    .join('\n');
}

/** A summary: one line for the verdicts, and one for each reason, disagreement and remark. */
export function describeReport({ judge, verdicts, notAsked, known, remarks, seconds }: JudgeReport): string[] {
  const sum = (counts: ReadonlyMap<unknown, number>) => [...counts.values()].reduce((a, b) => a + b, 0);
  const reasons = [...notAsked].map(([reason, times]) => `${times} because it ${reason}`);
  return [
    `${judge}: ${verdicts} verdicts in ${seconds.toFixed(1)} s, ${sum(known)} known disagreements`,
    ...(reasons.length === 0 ? [] : [`  not asked: ${reasons.join(', ')}`]),
    ...[...known].map(([{ because }, times]) => `  ${times} times: ${because}`),
    ...[...remarks].map(([remark, times]) => `  ${times} times remarked: ${remark}`),
  ];
}
