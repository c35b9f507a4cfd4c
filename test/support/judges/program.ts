import { inParallel } from '../parallel.ts';
import { type Command, run } from '../peers/process.ts';
import type { Judge, Question, Verdict } from './question.ts';

/** A judge that runs one program for all questions. */
export const programJudge = (
  about: Pick<Judge, 'name' | 'missing' | 'cannotSay'>,
  command: () => Command | Promise<Command>,
): Judge => ({ ...about, judge: async (questions) => askProgram(await command(), questions) });

/**
 * Sends one question a line, with tabs between its fields, and reads the answers in the same form (id, yes or no, words).
 * Not JSON, because the standard libraries of C, Java and Rust do not read it.
 */
async function askProgram(command: Command, questions: readonly Question[]): Promise<ReadonlyMap<number, Verdict>> {
  const { code, stdout, stderr } = await run(command, {
    input: questions.map((question) => `${encodeQuestion(question)}\n`).join(''),
    timeoutMs: 900_000,
  });
  if (code !== 0) throw new Error(`${command.join(' ')} ended with code ${code}:\n${stderr}`);
  const verdicts = new Map(
    stdout
      .split('\n')
      .filter((line) => line !== '')
      .map(decodeVerdict),
  );
  const silent = questions.filter(({ id }) => !verdicts.has(id)).map(encodeQuestion);
  if (silent.length > 0) throw new Error(`${command.join(' ')} does not answer\n${silent.slice(0, 10).join('\n')}`);
  return verdicts;
}

const encodeQuestion = ({ id, kind, folder, trust, usage, name, at = new Date() }: Question): string =>
  [id, kind, folder, trust, usage, name ?? '', Math.floor(at.getTime() / 1000)].join('\t');

function decodeVerdict(line: string): [number, Verdict] {
  const [id, answer, ...words] = line.split('\t');
  if (answer !== 'yes' && answer !== 'no') throw new Error(`this is not a verdict: ${line}`);
  return [Number(id), { accepted: answer === 'yes', words: words.join(' ').trim() }];
}

/** A judge with one command for each question. Two commands run at a time. */
export const commandJudge = (
  about: Pick<Judge, 'name' | 'missing' | 'cannotSay'>,
  ask: (question: Question) => Command,
  verdict: (output: string, code: number) => Verdict = (output, code) => ({ accepted: code === 0, words: output }),
): Judge => ({
  ...about,
  async judge(questions) {
    const verdicts = new Map<number, Verdict>();
    const judgeOne = async (question: Question): Promise<void> => {
      const { code, stdout, stderr } = await run(ask(question));
      verdicts.set(question.id, verdict(`${stdout}${stderr}`.trim().replaceAll(/\s+/g, ' '), code));
    };
    await inParallel(questions, judgeOne, 2);
    return verdicts;
  },
});
