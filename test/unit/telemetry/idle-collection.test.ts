import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { IdleCollection } from '../../../src/telemetry/idle-collection.ts';

function collection(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let collected = 0;
  const idle = new IdleCollection(() => (collected += 1));
  return {
    idle,
    pass: (seconds: number) => {
      for (let i = 0; i < seconds; i += 1) t.mock.timers.tick(1000);
    },
    collected: () => collected,
  };
}

test('memory is collected once after a burst of work', (t) => {
  const { idle, pass, collected } = collection(t);
  for (let i = 0; i < 2000; i += 1) idle.worked();
  assert.equal(collected(), 0);
  pass(10);
  assert.equal(collected(), 1);
  pass(3600);
  assert.equal(collected(), 1);
});

test('memory is not collected after little work, nor while work continues', (t) => {
  const { idle, pass, collected } = collection(t);
  idle.worked(10);
  pass(60);
  assert.equal(collected(), 0);
  idle.worked(1000);
  for (let i = 0; i < 10; i += 1) {
    pass(4);
    idle.worked();
  }
  assert.equal(collected(), 0);
  pass(10);
  assert.equal(collected(), 1);
});

test("V8's collector is available without a flag of Node.js", () => {
  assert.doesNotThrow(() => new IdleCollection());
});
