import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { Deadline } from '../../../../src/kube/api/deadline.ts';
import { isKubeError } from '../../../../src/kube/index.ts';

/** Moves timers and clock. The mock timers of node:test do not support refresh(). */
function time(t: TestContext): (ms: number) => void {
  let nowMs = 5_000;
  const timers = new Set<{ atMs: number; readonly act: () => void }>();
  t.mock.method(performance, 'now', () => nowMs);
  t.mock.method(globalThis, 'setTimeout', (act: () => void, ms: number) => {
    const timer = { atMs: nowMs + ms, act, refresh: () => (timer.atMs = nowMs + ms) };
    timers.add(timer);
    return timer;
  });
  t.mock.method(globalThis, 'clearTimeout', (timer: never) => timers.delete(timer));
  return (ms) => {
    nowMs += ms;
    for (const timer of timers) {
      if (timer.atMs > nowMs) continue;
      timers.delete(timer);
      timer.act();
    }
  };
}

const of1000 = (outer?: AbortSignal): Deadline => new Deadline('no answer', 1000, outer);

/** Whether the deadline is over, by each of its properties. */
function isOver(deadline: Deadline): boolean {
  assert.equal(deadline.signal.aborted, deadline.isOver);
  return deadline.isOver;
}

/** The present outcome of a wait. */
async function outcome(waiting: Promise<unknown>): Promise<string> {
  const code = waiting.then(
    () => 'answered',
    (error: unknown) => (isKubeError(error) ? error.code : String(error)),
  );
  return Promise.race([code, new Promise<string>((resolve) => setImmediate(resolve, 'it still waits'))]);
}

describe('a deadline', () => {
  test('is over after its timeout, and not before', (t) => {
    const pass = time(t);
    const deadline = of1000();
    let ends = 0;
    deadline.onOver = () => (ends += 1);
    const { signal } = deadline;
    pass(999);
    assert.deepEqual([signal.aborted, isOver(deadline), deadline.remainingMs, ends], [false, false, 1, 0]);
    pass(1);
    assert.deepEqual([signal.aborted, isOver(deadline), deadline.remainingMs, ends], [true, true, 0, 1]);
    assert.equal(deadline.error(true).code, 'Timeout');
    assert.match(deadline.error(true).message, /^no answer within 1 s$/);
    assert.deepEqual([deadline.error(true).outcomeUnknown, deadline.error(false).outcomeUnknown], [true, false]);
  });

  test('has its whole timeout again when it is extended', (t) => {
    const pass = time(t);
    const deadline = of1000();
    pass(900);
    deadline.extend();
    pass(999);
    assert.deepEqual([isOver(deadline), deadline.remainingMs], [false, 1]);
    pass(1);
    assert.equal(isOver(deadline), true);
  });

  test('does not run while it is paused, and then has its whole timeout again', (t) => {
    const pass = time(t);
    const deadline = of1000();
    pass(900);
    deadline.pause();
    assert.equal(deadline.remainingMs, Number.POSITIVE_INFINITY);
    pass(5000);
    assert.equal(isOver(deadline), false);
    deadline.extend();
    pass(999);
    assert.equal(isOver(deadline), false);
    pass(1);
    assert.equal(isOver(deadline), true);
  });

  test('is never over after the call has ended', (t) => {
    const pass = time(t);
    const outer = new AbortController();
    const deadline = of1000(outer.signal);
    deadline.onOver = () => assert.fail('the call has ended');
    deadline.end();
    pass(5000);
    deadline.extend();
    pass(5000);
    deadline.pause();
    deadline.extend();
    pass(5000);
    outer.abort();
    assert.equal(isOver(deadline), false);
  });

  test('is over when the signal of the caller aborts, for each call with this signal', (t) => {
    time(t);
    const outer = new AbortController();
    const deadlines = [of1000(outer.signal), of1000(outer.signal), of1000(outer.signal)];
    outer.abort();
    for (const deadline of [...deadlines, of1000(outer.signal)]) {
      assert.equal(isOver(deadline), true);
      assert.equal(deadline.error(false).code, 'Aborted');
    }
  });

  test('with an infinite timeout is over only when the signal of the caller aborts', (t) => {
    const pass = time(t);
    const outer = new AbortController();
    const deadline = new Deadline('no answer', Number.POSITIVE_INFINITY, outer.signal);
    pass(1_000_000);
    assert.equal(isOver(deadline), false);
    outer.abort();
    assert.equal(isOver(deadline), true);
  });

  test('ends the wait for a promise that cannot be aborted', async (t) => {
    const pass = time(t);
    const deadline = of1000();
    const never = new Promise(() => {});
    assert.equal(await deadline.within(Promise.resolve('answer')), 'answer');
    await assert.rejects(deadline.within(Promise.reject(new RangeError('of its own'))), RangeError);
    const waiting = deadline.within(never);
    pass(1000);
    assert.equal(await outcome(waiting), 'Timeout');
    assert.equal(await outcome(deadline.within(never)), 'Timeout');
    assert.equal(await outcome(of1000(AbortSignal.abort()).within(never)), 'Aborted');
  });
});
