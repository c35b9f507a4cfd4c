import assert from 'node:assert/strict';
import { mock, type TestContext, test } from 'node:test';
import * as fc from '../../../support/properties.ts';
import { historyRuns } from '../../../support/runs.ts';
import { type Outcome, ReflectorWorld, unreadable } from './reflector-world.ts';

// For more histories: CACHE_RUNS=20000 npm test -- unit reflector-model
const runs = historyRuns('CACHE_RUNS', 200);

type Act = readonly [what: string, act: (world: ReflectorWorld) => void];

const names = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const sizes = fc.oneof({ weight: 9, arbitrary: fc.nat({ max: 3 }) }, { weight: 1, arbitrary: fc.constant(unreadable) });
const outcomes = fc.oneof(
  { weight: 40, arbitrary: fc.constant<Outcome>('continues') },
  { weight: 3, arbitrary: fc.constantFrom<Outcome>('ends', 'breaks') },
  { weight: 1, arbitrary: fc.constantFrom<Outcome>('is refused', 'expires', 'is silent') },
);

const acts: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(names, sizes)
      .map(([name, size]): Act => [`${name} becomes ${size}`, (world) => world.put(name, size)]),
  },
  {
    weight: 2,
    arbitrary: names.map((name): Act => [`${name} is deleted`, (world) => world.delete(name)]),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(names, fc.nat({ max: 3 }))
      .map(([name, size]): Act => [`this process writes ${size} to ${name}`, (world) => world.write(name, size)]),
  },
  {
    weight: 1,
    arbitrary: names.map((name): Act => [`this process reads ${name}`, (world) => world.read(name)]),
  },
  {
    weight: 20,
    arbitrary: fc
      .tuple(fc.nat({ max: 5 }), outcomes)
      .map(([nth, outcome]): Act => [`request ${nth} ${outcome}`, (world) => world.step(nth, outcome)]),
  },
  { weight: 1, arbitrary: fc.constant<Act>(['the changes are compacted', ({ server }) => server.compact()]) },
  { weight: 1, arbitrary: fc.constant<Act>(['the cluster is restored from a backup', (world) => world.restore()]) },
  { weight: 2, arbitrary: fc.constant<Act>(['time passes', () => mock.timers.tick(1100)]) },
);

/** Prints a history as the names of its acts when it fails. */
const named = (history: readonly Act[]): readonly Act[] =>
  Object.assign([...history], { [fc.toStringMethod]: () => `\n  ${history.map(([what]) => what).join('\n  ')}\n` });

const fillers = { 'one Reflector': false, 'a Reflector for each namespace': true };
for (const [filler, isSplit] of Object.entries(fillers)) {
  test(`after any history of objects, network and writes, a cache that ${filler} fills equals the collection and subscribers have seen every change`, (t) =>
    histories(t, isSplit));
}

async function histories(t: TestContext, isSplit: boolean): Promise<void> {
  const seen = { lists: 0, watches: 0, streams: 0, events: 0, remembered: 0, restores: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.constantFrom(1, 2, 500),
      fc.array(fc.tuple(names, sizes), { maxLength: 4 }),
      fc.array(acts, { minLength: 30, maxLength: 100, size: 'max' }).map(named),
      async (streams, pageSize, before, history) => {
        mock.timers.reset();
        mock.timers.enable({ apis: ['setTimeout'] });
        const world = new ReflectorWorld({ streams, pageSize }, isSplit);
        for (const [name, size] of before) world.put(name, size);
        for (const [, act] of history) {
          act(world);
          await new Promise(setImmediate);
          world.check();
        }
        await settle(world);
        world.checkEnd();
        await world.end();
        for (const what of Object.keys(seen) as (keyof typeof seen)[]) seen[what] += world.counts[what];
      },
    ),
    runs,
  );
  mock.timers.reset();
  t.diagnostic(`${runs.numRuns} histories: ${JSON.stringify(seen)}`);
  for (const [what, count] of Object.entries(seen)) assert.ok(count > runs.numRuns / 4, `only ${count} ${what}`);
}

/** Lets all requests, answers and events arrive. */
async function settle(world: ReflectorWorld): Promise<void> {
  for (let round = 0; round < 60; round += 1) {
    const waiting = [...world.gates];
    for (const gate of waiting) {
      world.gates.delete(gate);
      gate.pass('continues');
    }
    await new Promise(setImmediate);
    mock.timers.tick(1100);
    await new Promise(setImmediate);
  }
}
