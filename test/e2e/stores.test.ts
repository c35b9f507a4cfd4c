import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { unlessInstalled } from '../support/peers/index.ts';
import { scratchFolder } from '../support/scratch.ts';
import type { Reading, StoreFile, StoreJudge } from '../support/stores/judge.ts';
import { judges } from '../support/stores/judges.ts';
import { type StoreSample, storeSamples } from '../support/stores/samples.ts';

/** Stores that a judge cannot read, and the reason. It must read all others. */
const unreadable: readonly (Pick<StoreSample, 'kind' | 'keyKind'> & { judge: string; reason: string })[] = [
  {
    judge: 'NSS',
    kind: 'keystore',
    keyKind: 'Ed25519',
    reason: 'NSS of Debian 12 (3.87) does not support Ed25519 keys',
  },
];

describe('PKCS#12 keystores (25 s: Java starts many times)', () => {
  let folder: string;
  let samples: readonly StoreSample[];
  const fileOf = (sample: StoreSample): StoreFile => ({
    kind: sample.kind,
    path: join(folder, `${samples.indexOf(sample)}.p12`),
    password: sample.password,
  });

  before(async () => {
    folder = await scratchFolder('stores');
    samples = await storeSamples();
    for (const sample of samples) await writeFile(fileOf(sample).path, sample.store);
  });
  after(async () => rm(folder, { recursive: true, force: true }));

  for (const judge of judges) {
    const skip = unlessInstalled(judge);
    const isReadable = ({ kind, keyKind }: StoreSample): boolean =>
      !unreadable.some((entry) => entry.judge === judge.name && entry.kind === kind && entry.keyKind === keyKind);

    test(`are read by ${judge.name} with the right content`, { skip }, async () => {
      const readable = samples.filter(isReadable);
      const readings = await judge.read(readable.map(fileOf));
      assert.equal(readings.length, readable.length);
      for (const [index, sample] of readable.entries()) assertReading(readings[index], sample, judge);
    });

    test(`are refused by ${judge.name} with a wrong password`, { skip }, async () => {
      const some = [...samples.slice(0, 2), ...samples.slice(-1)].map(fileOf);
      const readings = await judge.read(some.map((file) => ({ ...file, password: `${file.password}.` })));
      assert.equal(readings.length, some.length);
      for (const reading of readings) {
        assert.ok('error' in reading, 'the keystore was read');
        assert.match(reading.error, judge.wrongPassword);
      }
    });

    test(`are refused by ${judge.name} after tampering`, { skip }, async () => {
      const file = { ...fileOf(someOf(samples)), path: join(folder, 'tampered.p12') };
      const store = Buffer.from(someOf(samples).store);
      // The middle of the file belongs to the encrypted part.
      const middle = store.length >> 1;
      store[middle] = (store[middle] ?? 0) ^ 1;
      await writeFile(file.path, store);
      assert.ok((await judge.read([file])).every((reading) => 'error' in reading));
    });
  }
});

function someOf(samples: readonly StoreSample[]): StoreSample {
  const [sample] = samples;
  assert.ok(sample !== undefined);
  return sample;
}

function assertReading(reading: Reading | undefined, sample: StoreSample, judge: StoreJudge): void {
  assert.ok(reading !== undefined && !('error' in reading), `${sample.title}: ${JSON.stringify(reading)}`);
  const expected = sample.certificates.map(({ fingerprint }) => fingerprint);
  if (sample.kind === 'keystore') assert.deepEqual(reading.certificates, expected, sample.title);
  // A truststore is a set without an order: Java lists its certificates in the order of a hash table.
  else assert.deepEqual(reading.certificates.toSorted(), expected.toSorted(), sample.title);
  if (reading.aliases !== undefined) {
    assert.deepEqual(reading.aliases.toSorted(), sample.aliases.toSorted(), sample.title);
  }
  if (sample.privateKey !== undefined && judge.showsKey) {
    assert.ok(reading.privateKey?.equals(sample.privateKey), sample.title);
  }
}
