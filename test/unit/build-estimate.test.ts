import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import {
  BuildForecast,
  type BuildPackage,
  firstEstimate,
  inWords,
  packageCost,
  rangeInWords,
  remainingMs,
} from '../../tools/controlplane/build-estimate.ts';
import { compilerEnvironment } from '../../tools/controlplane/compiler-memory.ts';

/** Builds of kubeconform: for each package its path, the size of its sources, and when Go began to compile it. */
interface Recording {
  readonly cores: number;
  readonly totalMs: number;
  readonly packages: readonly (readonly [path: string, bytes: number, atMs: number])[];
}

const GIB = 1024 ** 3;

describe('a duration for a person', () => {
  for (const [ms, words] of [
    [0, 'about 10 seconds'],
    [44_000, 'about 40 seconds'],
    [89_000, 'about 90 seconds'],
    [90_000, 'about 2 minutes'],
    [251_000, 'about 4 minutes'],
  ] as const) {
    test(`${ms} ms: ${words}`, () => assert.equal(inWords(ms), words));
  }
  for (const [least, most, words] of [
    [5, 20, 'less than a minute'],
    [20, 100, 'up to 2 minutes'],
    [250, 650, '4 to 11 minutes'],
  ] as const) {
    test(`${least} to ${most} s: ${words}`, () => assert.equal(rangeInWords({ least, most }), words));
  }
});

describe('the estimate of a build', () => {
  test('counts nothing for a package in the cache', () => {
    assert.equal(packageCost({ path: 'p', bytes: 1e6, isCached: true }), 0);
  });

  test('is shorter with more cores, but not in proportion', () => {
    const [one, two, eight] = [1, 2, 8].map((cores) => firstEstimate(600, cores).most) as [number, number, number];
    assert.ok(two < one && eight < two && eight > one / 8);
  });

  for (const [situation, samples, leastMs, mostMs] of [
    ['a steady machine', steady(100, 1), 95_000, 105_000],
    ['a machine at half the speed', steady(100, 0.5), 190_000, 215_000],
    ['a machine that became four times slower', [...steady(50, 1), ...steady(50, 0.25, 50)], 350_000, 420_000],
  ] as const) {
    test(`follows ${situation}`, () => {
      const cost = samples.at(-1)?.cost ?? 0;
      const left = remainingMs({ totalCost: cost + 100, samples, cores: 1 });
      assert.ok(left >= leastMs && left <= mostMs, `${left} ms`);
    });
  }
});

describe('the forecast of a build', () => {
  const packages: BuildPackage[] = [
    { path: 'std', bytes: 5e6, isCached: true },
    { path: 'big', bytes: 4e6, isCached: false },
    { path: 'small', bytes: 1e4, isCached: false },
    { path: 'program', bytes: 1e3, isCached: false },
  ];

  test('says what is left to compile and how long it takes', () => {
    assert.equal(
      new BuildForecast(packages, 2).announcement(),
      '3 of 4 packages are to compile, which takes less than a minute on 2 idle cores.',
    );
    assert.match(new BuildForecast(packages, 1).announcement(), / on one idle core\.$/);
  });

  test('weighs packages by their size', () => {
    const forecast = new BuildForecast(packages, 1);
    forecast.begins('big', 0);
    forecast.begins('small', 20_000);
    assert.match(forecast.report(20_000), /^compiling, 8\d %, about \d+ seconds left$/);
  });

  test('ignores lines that are not packages of the build, and says when it links', () => {
    const forecast = new BuildForecast(packages, 1);
    for (const line of ['# big', 'go: downloading x v1.0.0', 'big', 'big', 'small']) forecast.begins(line, 1000);
    assert.match(forecast.report(1000), /^compiling/);
    forecast.begins('program', 2000);
    assert.match(forecast.report(2000), /^linking, about \d+ seconds left$/);
  });
});

describe('the forecast of a recorded build', () => {
  for (const [name, machine] of [
    ['two-busy-cores', 'two cores with twenty times as many other programs'],
    ['one-busy-core', 'the same machine and one core'],
  ] as const) {
    const recording = new URL(`../support/build-timings/${name}.json`, import.meta.url);
    const { cores, totalMs, packages } = JSON.parse(readFileSync(recording, 'utf8')) as Recording;

    test(`has its end within 35 % after a quarter, and within 26 % after half of the time: ${machine}`, () => {
      const forecast = new BuildForecast(
        packages.map(([path, bytes]) => ({ path, bytes, isCached: false })),
        cores,
      );
      for (const [path, , atMs] of packages) {
        forecast.begins(path, atMs);
        const passed = atMs / totalMs;
        if (passed < 0.25) continue;
        const error = Math.abs(atMs + forecast.remainingMs(atMs) - totalMs) / totalMs;
        assert.ok(error < (passed < 0.5 ? 0.35 : 0.26), `${error} at ${passed}: ${forecast.report(atMs)}`);
      }
    });
  }
});

describe('the environment of the compilers', () => {
  for (const [situation, environment, availableBytes, cores, added] of [
    [
      'with much memory the collector is off, with a limit for each core',
      {},
      20 * GIB,
      2,
      { GOGC: 'off', GOMEMLIMIT: '7168MiB' },
    ],
    ['with little memory it stays on', {}, 2 * GIB, 2, {}],
    ['with many cores it stays on', {}, 16 * GIB, 64, {}],
    ["the user's GOGC stays", { GOGC: '50' }, 20 * GIB, 2, {}],
    ["the user's GOMEMLIMIT stays", { GOMEMLIMIT: '1GiB' }, 20 * GIB, 2, {}],
  ] as const) {
    test(situation, () => {
      assert.deepEqual(compilerEnvironment(environment, { availableBytes, cores }), { ...environment, ...added });
    });
  }
});

/** One sample a second, with this cost a second. */
function steady(seconds: number, costPerSecond: number, after = 0): { atMs: number; cost: number }[] {
  return Array.from({ length: seconds + 1 }, (_, index) => ({
    atMs: (after + index) * 1000,
    cost: after + index * costPerSecond,
  }));
}
