import type { Combination } from './combination.ts';
import { type Disagreement, disagreements } from './disagreements.ts';
import type { Judge, Question, Verdict } from './question.ts';
import type { Matter, Topic } from './questions.ts';

/** An answer that is not the right one. */
export interface WrongAnswer {
  readonly judge: string;
  readonly topic: Topic;
  readonly combination: Combination;
  readonly question: Question;
  readonly verdict: Verdict;
}

/** What came of asking judges about certificates. */
export interface Hearing {
  readonly verdicts: number;
  /** Questions that a judge cannot be asked: by judge, then by reason. */
  readonly notAsked: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** Those that the table has, by its entry. */
  readonly known: ReadonlyMap<Disagreement, number>;
  readonly unknown: readonly WrongAnswer[];
  /** What linters remark without finding it bad, and how often. */
  readonly remarks: ReadonlyMap<string, number>;
  readonly seconds: ReadonlyMap<string, number>;
}

/** Asks one judge after the other, so that the seconds are its own. */
export async function hear(judges: readonly Judge[], matters: readonly Matter[]): Promise<Hearing> {
  let verdicts = 0;
  const notAsked = new Map<string, Map<string, number>>();
  const known = new Map<Disagreement, number>();
  const unknown: WrongAnswer[] = [];
  const remarks = new Map<string, number>();
  const seconds = new Map<string, number>();
  for (const judge of judges) {
    const started = performance.now();
    const reasons = new Map<string, number>();
    const asked = matters.filter(({ question }) => {
      const reason = judge.cannotSay(question);
      if (reason !== undefined) count(reasons, reason);
      return reason === undefined;
    });
    const answers = await judge.judge(asked.map(({ question }) => question));
    for (const { topic, exhibit, question, isGood } of asked) {
      const verdict = answers.get(question.id);
      if (verdict === undefined) throw new Error(`${judge.name} does not answer question ${question.id}`);
      verdicts += 1;
      if (verdict.accepted && verdict.words !== '' && question.kind === 'lint')
        count(remarks, `${judge.name}: ${verdict.words}`);
      if (verdict.accepted === isGood) continue;
      const wrong = { judge: judge.name, topic, combination: exhibit.combination, question, verdict };
      const entry = disagreements.find((one) => isKnown(one, wrong));
      if (entry === undefined) unknown.push(wrong);
      else count(known, entry);
    }
    notAsked.set(judge.name, reasons);
    seconds.set(judge.name, (performance.now() - started) / 1000);
  }
  return { verdicts, notAsked, known, unknown, remarks, seconds };
}

function isKnown(entry: Disagreement, { judge, topic, combination, question, verdict }: WrongAnswer): boolean {
  return (
    entry.judges.includes(judge) &&
    entry.topics.includes(topic) &&
    entry.when(combination, question) &&
    (entry.says?.test(verdict.words) ?? true)
  );
}

function count<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
