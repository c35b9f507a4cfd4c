import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { longestPodLifetimeMs, rotationPhases } from '../../../../src/plan/index.ts';
import { hours } from '../../../support/fixtures/times.ts';
import { rotationIn } from './rotation-situation.ts';

describe('the longest lifetime of a certificate for a pod', () => {
  test('is not limited without a rotation', () => assert.equal(longestPodLifetimeMs(undefined), undefined));

  for (const phase of rotationPhases) {
    const isShort = phase === 'Distributing' || phase === 'Switching';
    test(`${isShort ? 'is an hour' : 'is not limited'} in ${phase}`, () => {
      assert.equal(longestPodLifetimeMs(rotationIn(phase)), isShort ? hours(1) : undefined);
    });
    test(`is an hour in ${phase} of an abort`, () => {
      assert.equal(longestPodLifetimeMs(rotationIn(phase, { aborting: true })), hours(1));
    });
  }
});
