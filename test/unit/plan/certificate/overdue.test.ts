import assert from 'node:assert/strict';
import { test } from 'node:test';
import { overdueAt } from '../../../../src/plan/index.ts';

/** A status whose certificates are due at these times, each with a time of expiry. */
const statusOf = (...dates: readonly (readonly [renewalTime: string, notAfter: string])[]) => ({
  secrets: dates.map(([renewalTime, notAfter]) => ({ renewalTime, notAfter }) as never),
});
const at = (time: string): Date => new Date(`2026-06-${time}Z`);

const month = ['2026-06-01T00:00:00Z', '2026-07-01T00:00:00Z'] as const;
const minutes = ['2026-06-01T00:00:00Z', '2026-06-01T00:10:00Z'] as const;

const cases: readonly [
  title: string,
  status: Parameters<ReturnType<typeof overdueAt>>[0],
  now: Date,
  expected: boolean,
][] = [
  ['is not overdue before its first certificate', {}, at('01T00:00:00'), false],
  ['is not overdue before the renewal time', statusOf(month), new Date('2026-05-31T23:59:59Z'), false],
  ['is not overdue in the first tenth of the time that is left', statusOf(month), at('04T00:00:00'), false],
  ['is overdue after a tenth of the time that is left', statusOf(month), at('04T00:00:01'), true],
  ['with a short lifetime is overdue after a minute', statusOf(minutes), at('01T00:01:01'), true],
  ['is overdue while one of its certificates is', statusOf(month, minutes), at('01T00:01:01'), true],
  ['is still overdue when it has expired', statusOf(minutes), at('02T00:00:00'), true],
  ['with damaged dates is not overdue', statusOf(['soon', '']), at('02T00:00:00'), false],
];
for (const [title, status, now, expected] of cases) {
  test(`a resource ${title}`, () => assert.equal(overdueAt(now)(status), expected));
}
