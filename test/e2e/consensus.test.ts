/**
 * Certificates of every kind that the operator issues, checked by independent programs: all of them must accept the right
 * name and usage, and none of them a wrong name, usage, root or time. The known disagreements are in one table with
 * reasons: disagreements.ts.
 *
 * The default combinations cover every pair of choices. All combinations, or others by another seed:
 *
 *     CONSENSUS=full npm test -- e2e/consensus
 *     FUZZ_SEED=7 npm test -- e2e/consensus
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { type Combination, coveringCombinations, largest, missingPairs } from '../support/judges/combination.ts';
import { disagreements } from '../support/judges/disagreements.ts';
import { exhibit, malformedExhibit, rootExhibit } from '../support/judges/exhibit.ts';
import { judges } from '../support/judges/index.ts';
import { askJudge, describeReport, describeUnknown, type JudgeReport } from '../support/judges/judge-report.ts';
import { type ExpectedAnswer, expectedAnswers, expectedFormAnswer } from '../support/judges/questions.ts';
import { scratchFolder } from '../support/scratch.ts';

const isFull = process.env['CONSENSUS'] === 'full';
const seed = Number(process.env['FUZZ_SEED'] ?? 20_261_125);
const combinations: readonly Combination[] = isFull
  ? [largest, ...coveringCombinations(seed, 239)]
  : coveringCombinations(seed);

describe(`certificates of ${combinations.length} combinations (FUZZ_SEED=${seed}) (30 s: judges are compiled and started)`, () => {
  const questions: ExpectedAnswer[] = [];
  const reports: JudgeReport[] = [];

  before(async () => {
    const folder = await scratchFolder('consensus');
    const roots = new Set<string>();
    for (const [index, combination] of combinations.entries()) {
      questions.push(...expectedAnswers(await exhibit(combination, join(folder, String(index))), questions.length));
      const { signer, signerKey } = combination;
      if (signer !== 'issued' || roots.has(signerKey)) continue;
      roots.add(signerKey);
      const root = await rootExhibit(combination, join(folder, `root-${signerKey}`));
      questions.push(expectedFormAnswer('form of the root', combination, root, questions.length));
    }
    const malformed = malformedExhibit(join(folder, 'malformed'));
    questions.push(expectedFormAnswer('bad form', largest, malformed, questions.length));
  });

  test('cover every pair of choices', () => {
    assert.deepEqual(missingPairs(combinations), []);
  });

  for (const judge of judges) {
    // With CI=true nothing is skipped, and a missing program fails the test.
    const skip = process.env['CI'] === 'true' ? false : (judge.missing() ?? false);
    test(`get the expected verdicts from ${judge.name}`, { skip }, async (t) => {
      const report = await askJudge(judge, questions);
      reports.push(report);
      for (const line of describeReport(report)) t.diagnostic(line);
      assert.equal(report.unknown.length, 0, describeUnknown(report));
      assert.ok(report.refusals > 0, `${judge.name} never refuses`);
    });
  }

  // The default combinations need not meet every known disagreement.
  if (isFull) {
    test('meet every disagreement in the table', () => {
      const met = new Set(reports.flatMap(({ known }) => [...known.keys()]));
      const unmet = disagreements.filter((entry) => !met.has(entry));
      assert.deepEqual(
        unmet.map(({ judges, because }) => [...judges, because]),
        [],
      );
    });
  }

  after(() => {
    const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
    const verdicts = sum(reports.map((report) => report.verdicts));
    const known = sum(reports.flatMap((report) => [...report.known.values()]));
    const unknown = sum(reports.map((report) => report.unknown.length));
    console.log(
      `${combinations.length} combinations, ${questions.length} questions, ${reports.length} judges: ${verdicts} verdicts, ${known} known disagreements, ${unknown} unknown`,
    );
  });
});
