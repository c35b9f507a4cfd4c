import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TokenGate, type TokenVerdict, verdictLifetimeMs } from '../../../src/telemetry/token-gate.ts';

type Checked = Exclude<TokenVerdict, 'busy' | 'unavailable'>;

/** A gate whose API server answers as `answers` says, `unauthenticated` for unknown tokens. */
function harness(answers: Record<string, Checked | Error> = {}) {
  const checked: string[] = [];
  const errors: unknown[] = [];
  let nowMs = 0;
  let held: Promise<void> = Promise.resolve();
  const gate = new TokenGate({
    async check(token) {
      checked.push(token);
      await held;
      const answer = answers[token] ?? 'unauthenticated';
      if (answer instanceof Error) throw answer;
      return answer;
    },
    onError: (error) => errors.push(error),
    monotonicMs: () => nowMs,
  });
  return {
    answers,
    checked,
    errors,
    decide: (token: string, address = '10.0.0.1') => gate.decide(token, address),
    pass: (ms: number) => {
      nowMs += ms;
    },
    /** Lets no check end until the returned function is called. */
    hold: (): (() => void) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      return resolve;
    },
  };
}

describe('a token for the metrics', () => {
  for (const verdict of ['allowed', 'forbidden', 'unauthenticated'] as const) {
    test(`that is ${verdict} is checked once in ten seconds, and then again`, async () => {
      const { decide, pass, checked, answers } = harness({ a: verdict });
      for (const ms of [0, 5000, 4999]) {
        pass(ms);
        assert.equal(await decide('a'), verdict);
      }
      assert.deepEqual(checked, ['a']);
      const next = verdict === 'allowed' ? 'forbidden' : 'allowed';
      answers['a'] = next;
      pass(1);
      assert.equal(await decide('a'), next);
      assert.deepEqual(checked, ['a', 'a']);
    });
  }

  test('is checked once for requests at the same time', async () => {
    const { decide, checked } = harness({ a: 'allowed' });
    assert.deepEqual(await Promise.all([decide('a'), decide('a'), decide('a')]), ['allowed', 'allowed', 'allowed']);
    assert.deepEqual(checked, ['a']);
  });

  test('that cannot be checked is refused, also after it was accepted, and checked again at once', async () => {
    const problem = new Error('no answer');
    const { decide, pass, checked, answers, errors } = harness({ a: 'allowed' });
    assert.equal(await decide('a'), 'allowed');
    answers['a'] = problem;
    pass(verdictLifetimeMs);
    assert.equal(await decide('a'), 'unavailable');
    assert.equal(await decide('a'), 'unavailable');
    answers['a'] = 'allowed';
    assert.equal(await decide('a'), 'allowed');
    assert.deepEqual(errors, [problem, problem]);
    assert.equal(checked.length, 4);
  });

  test('of more than 8 KiB is refused without a check', async () => {
    const { decide, checked } = harness();
    assert.equal(await decide('a'.repeat(8193)), 'unauthenticated');
    assert.deepEqual(checked, []);
  });
});

describe('a client that tries many tokens for the metrics', () => {
  test('has ten of them checked, and then one per second', async () => {
    const { decide, pass, checked } = harness();
    const tryMany = async (count: number): Promise<number> => {
      const before = checked.length;
      const verdicts: TokenVerdict[] = [];
      for (let i = 0; i < count; i += 1) verdicts.push(await decide(`guess-${before}-${i}`));
      const busy = verdicts.filter((verdict) => verdict === 'busy').length;
      assert.equal(checked.length - before, count - busy);
      return checked.length - before;
    };
    assert.equal(await tryMany(1000), 10);
    pass(3000);
    assert.equal(await tryMany(1000), 3);
  });

  test('keeps out neither a token that was accepted before nor the tokens of another client', async () => {
    const { decide, pass } = harness({ known: 'allowed', replaced: 'allowed' });
    assert.equal(await decide('known', '10.0.0.2'), 'allowed');
    for (let i = 0; i < 5000; i += 1) await decide(`guess-${i}`, '10.0.0.1');
    pass(verdictLifetimeMs);
    for (let i = 0; i < 5000; i += 1) await decide(`another-${i}`, '10.0.0.1');
    assert.equal(await decide('known', '10.0.0.1'), 'allowed');
    assert.equal(await decide('replaced', '10.0.0.2'), 'allowed');
  });

  test('at the same time from many addresses has two of them checked at a time, and tokens that were accepted before do not wait', async () => {
    const { decide, pass, checked, hold } = harness({ known: 'allowed' });
    await decide('known');
    pass(verdictLifetimeMs);
    const answer = hold();
    const guesses = Array.from({ length: 100 }, (_, i) => decide(`guess-${i}`, `10.0.1.${i}`));
    const known = decide('known');
    assert.deepEqual(checked, ['known', 'guess-0', 'guess-1', 'known']);
    answer();
    const verdicts = Map.groupBy(await Promise.all(guesses), (verdict) => verdict);
    assert.deepEqual([verdicts.get('unauthenticated')?.length, verdicts.get('busy')?.length], [2, 98]);
    assert.equal(await known, 'allowed');
  });
});
