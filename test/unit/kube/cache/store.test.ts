import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareResourceVersions, keyOf, refOf, Store, type StoreRecord } from '../../../../src/kube/index.ts';
import * as fc from '../../../support/properties.ts';

interface Pod extends StoreRecord {
  readonly node: string;
}

const pod = (name: string, resourceVersion: number, node = 'n1'): Pod => ({
  namespace: 'ns',
  name,
  resourceVersion: String(resourceVersion),
  node,
});

function podStore(): Store<Pod, 'node'> {
  return new Store<Pod, 'node'>({ indexes: { node: ({ node }) => [node] } });
}

test('keys are namespace/name, and name alone for cluster-scoped kinds', () => {
  for (const ref of [{ namespace: 'a', name: 'b' }, { name: 'b' }]) assert.deepEqual(refOf(keyOf(ref)), ref);
  assert.equal(keyOf({ namespace: '', name: 'b' }), 'b');
});

test('an older record never replaces a newer one', () => {
  const store = podStore();
  assert.equal(store.observe(pod('a', 10, 'new')), true);
  assert.equal(store.observe(pod('a', 9, 'old')), false);
  assert.equal(store.observe(pod('a', 10, 'same')), false);
  assert.equal(store.get('ns/a')?.node, 'new');
});

test('a late event does not restore a deleted object, but a new object of the name is stored', () => {
  const store = podStore();
  store.observe(pod('a', 5));
  store.observeDeleted(pod('a', 7), '7');
  store.observe(pod('a', 6));
  assert.equal(store.get('ns/a'), undefined);
  store.observe(pod('a', 8));
  assert.ok(store.get('ns/a'));
});

test('a late answer to a write does not restore an object whose deletion the watch has shown', () => {
  const store = podStore();
  store.replaceAll([pod('a', 5)], '6');
  store.observeDeleted(pod('a', 8), '8');
  store.advance('8');
  assert.equal(store.observe(pod('a', 7)), false);
  store.replaceAll([], '20');
  assert.equal(store.observe(pod('a', 19)), false);
  assert.equal(store.observe(pod('a', 21)), true);
});

test('a deletion is remembered until the store has observed everything up to it', () => {
  const store = podStore();
  store.observe(pod('a', 5));
  store.observeDeleted(pod('a', 12), '12');
  store.advance('10');
  assert.equal(store.observe(pod('a', 11)), false);
  store.advance('12');
  assert.equal(store.observe(pod('a', 11)), false);
  store.advance('8');
  assert.equal(store.observe(pod('a', 11)), false, 'what was seen once stays seen');
});

test('the last record counts if resourceVersions are not numbers', () => {
  const store = podStore();
  const opaque = (resourceVersion: string): Pod => ({ ...pod('a', 0), resourceVersion });
  for (const resourceVersion of ['b', 'a']) assert.equal(store.observe(opaque(resourceVersion)), true);
  assert.equal(store.get('ns/a')?.resourceVersion, 'a');
  assert.equal(store.current(opaque('a')), undefined);
  store.observeDeleted(pod('a', 0), 'c');
  assert.equal(store.size, 0);
  store.observe(opaque('d'));
  store.replaceAll([], 'e');
  assert.equal(store.size, 0);
});

test('a list removes missing records, except those that were written after the list', () => {
  const store = podStore();
  store.observe(pod('gone', 5));
  store.observe(pod('written', 12));
  store.observe(pod('changed', 12, 'new'));
  store.replaceAll([pod('changed', 9, 'old'), pod('listed', 8)], '10');
  assert.deepEqual([...store.keys()].sort(), ['ns/changed', 'ns/listed', 'ns/written']);
  assert.equal(store.get('ns/changed')?.node, 'new');
});

test('after a part was cleared, its next list is complete, and other parts stay', () => {
  const store = podStore();
  const part = store.part('ns');
  store.part('other').replaceAll([{ ...pod('a', 40), namespace: 'other' }], '100');
  part.replaceAll([pod('a', 50), pod('b', 60)], '100');
  part.observeDeleted(pod('b', 0), '101');
  part.clear();
  assert.deepEqual([...store.keys()], ['other/a']);
  part.replaceAll([pod('a', 50), pod('c', 99)], '100');
  assert.deepEqual([...store.keys()].sort(), ['ns/a', 'ns/c', 'other/a']);
});

test('a list that is older than the store comes from a restored cluster, and replaces everything', () => {
  const store = podStore();
  store.replaceAll([pod('a', 50), pod('b', 60)], '100');
  store.observe(pod('c', 101));
  store.observe(pod('d', 102));
  store.observeDeleted(pod('d', 103), '103');
  store.replaceAll([pod('a', 10, 'restored')], '20');
  assert.deepEqual([...store.values()], [pod('a', 10, 'restored')]);
  assert.equal(store.observe(pod('d', 21)), true);
});

test('refine replaces a record of the same resourceVersion only, and calls no listener', () => {
  const store = podStore();
  store.observe(pod('a', 5, 'x'));
  let told = 0;
  store.subscribe(() => (told += 1));
  for (const other of [pod('a', 4, 'y'), pod('a', 6, 'y'), pod('b', 5, 'y')]) assert.equal(store.refine(other), false);
  assert.deepEqual([...store.values()], [pod('a', 5, 'x')]);
  assert.equal(store.refine(pod('a', 5, 'y')), true);
  assert.deepEqual([store.by('node', 'x'), store.by('node', 'y')], [[], [pod('a', 5, 'y')]]);
  assert.equal(told, 0);
});

test('writeUnderWay returns the second of two concurrent writes of an object until it has ended', async () => {
  const store = podStore();
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const ref = { namespace: 'ns', name: 'a' };
  const writes = [store.trackWrite(ref, () => first.promise), store.trackWrite(ref, () => second.promise)];
  first.resolve();
  await writes[0];
  assert.equal(store.writeUnderWay(ref), second.promise);
  second.resolve();
  await writes[1];
  assert.equal(store.writeUnderWay(ref), undefined);
});

test('an index finds records by their present values', () => {
  const store = podStore();
  store.observe(pod('a', 1, 'x'));
  store.observe(pod('b', 2, 'x'));
  store.observe(pod('a', 3, 'y'));
  assert.deepEqual(store.by('node', 'x'), [pod('b', 2, 'x')]);
  assert.deepEqual(store.by('node', 'y'), [pod('a', 3, 'y')]);
  store.observeDeleted(pod('b', 4), '4');
  assert.deepEqual(store.by('node', 'x'), []);
});

test('an index returns the same records as a search through all records', () => {
  const values = fc.subarray(['x', 'y', 'z', 'x']);
  const change = fc.record({ name: fc.constantFrom('a', 'b', 'c', 'd'), values, isGone: fc.boolean() });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      interface Tagged extends StoreRecord {
        readonly values: readonly string[];
      }
      const store = new Store<Tagged, 'value'>({ indexes: { value: (record) => record.values } });
      changes.forEach(({ name, values: tags, isGone }, i) => {
        const record = { name, values: tags, resourceVersion: String(i + 1) };
        if (isGone) store.observeDeleted(record, record.resourceVersion);
        else store.observe(record);
        for (const value of ['x', 'y', 'z']) {
          const found = [...store.values()].filter((one) => one.values.includes(value));
          assert.deepEqual(new Set(store.by('value', value)), new Set(found));
          assert.equal(store.by('value', value).length, found.length);
          assert.equal(store.count('value', value), found.length);
        }
      });
    }),
  );
});

test('listeners are called once for each change, with the record before and after', () => {
  const store = podStore();
  const changes: string[] = [];
  const node = (record: Pod | undefined): string => record?.node ?? '-';
  const end = store.subscribe((before, after) => changes.push(`${node(before)}>${node(after)}`));
  store.observe(pod('a', 1, 'x'));
  store.observe(pod('a', 1, 'x'));
  store.observe(pod('a', 2, 'y'));
  store.replaceAll([], '9');
  end();
  store.observe(pod('a', 10, 'z'));
  assert.deepEqual(changes, ['->x', 'x>y', 'y>-']);
});

test('resourceVersions are compared as integers of any length', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 80n }), fc.bigInt({ min: 0n, max: 2n ** 80n }), (a, b) => {
      assert.equal(Math.sign(compareResourceVersions(String(a), String(b))), a < b ? -1 : a > b ? 1 : 0);
    }),
  );
});

test('the newest version of each object stays, in whatever order versions arrive', () => {
  const names = fc.constantFrom('a', 'b', 'c');
  const history = fc.array(fc.tuple(names, fc.boolean()), { maxLength: 30 });
  const shuffled = history.chain((list) => {
    const news = list.map(([name, deleted], index) => ({ name, deleted, resourceVersion: index + 1 }));
    return fc.tuple(fc.constant(news), fc.shuffledSubarray(news, { minLength: news.length }));
  });
  fc.assert(
    fc.property(shuffled, ([news, arriving]) => {
      const store = podStore();
      for (const { name, deleted, resourceVersion } of arriving) {
        if (deleted) store.observeDeleted(pod(name, resourceVersion), String(resourceVersion));
        else store.observe(pod(name, resourceVersion, `at ${resourceVersion}`));
      }
      for (const name of ['a', 'b', 'c']) {
        const last = news.findLast((item) => item.name === name);
        const expected =
          last === undefined || last.deleted
            ? undefined
            : pod(name, last.resourceVersion, `at ${last.resourceVersion}`);
        assert.deepEqual(store.get(`ns/${name}`), expected);
      }
      const indexed = news.flatMap(({ resourceVersion }) => store.by('node', `at ${resourceVersion}`));
      assert.equal(indexed.length, store.size);
    }),
  );
});
