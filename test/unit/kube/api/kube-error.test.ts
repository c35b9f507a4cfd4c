import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KubeError, type KubeErrorCode, statusError } from '../../../../src/kube/api/kube-error.ts';

const classified: [status: number, reason: string | undefined, code: KubeErrorCode, outcomeUnknown: boolean][] = [
  [400, 'BadRequest', 'BadRequest', false],
  [401, 'Unauthorized', 'Unauthorized', false],
  [403, 'Forbidden', 'Forbidden', false],
  [404, 'NotFound', 'NotFound', false],
  [405, 'MethodNotAllowed', 'BadRequest', false],
  [408, undefined, 'Timeout', false],
  [409, 'AlreadyExists', 'AlreadyExists', false],
  [409, 'Conflict', 'Conflict', false],
  [409, undefined, 'Conflict', false],
  [410, 'Expired', 'Gone', false],
  [410, 'Gone', 'Gone', false],
  [413, 'RequestEntityTooLarge', 'BadRequest', false],
  [422, 'Invalid', 'Invalid', false],
  [429, 'TooManyRequests', 'TooManyRequests', false],
  [500, 'InternalError', 'ServerError', true],
  [500, 'ServerTimeout', 'ServerError', true],
  [502, undefined, 'ServerError', true],
  [503, 'ServiceUnavailable', 'ServerError', true],
  [504, 'Timeout', 'Timeout', true],
];

for (const [status, reason, code, outcomeUnknown] of classified) {
  test(`${status} ${reason ?? 'without a reason'} to a write is ${code}${outcomeUnknown ? ', outcome unknown' : ''}`, () => {
    const body = reason === undefined ? {} : { reason };
    const error = statusError(status, body, { write: true });
    assert.deepEqual([error.code, error.status, error.reason], [code, status, reason]);
    assert.equal(error.outcomeUnknown, outcomeUnknown);
    assert.equal(statusError(status, body, { write: false }).outcomeUnknown, false);
  });
}

test('the outcome of a write is known after a 503 with Retry-After', () => {
  assert.equal(statusError(503, {}, { write: true, retryAfterMs: 1000 }).outcomeUnknown, false);
});

test('a refusal because the namespace is being deleted differs from missing rights', () => {
  const causes = [{ reason: 'NamespaceTerminating' }];
  assert.equal(statusError(403, { details: { causes } }, { write: true }).namespaceTerminating, true);
  assert.equal(statusError(403, {}, { write: true }).namespaceTerminating, false);
});

test('the message is that of the API server, truncated if it is long', () => {
  assert.equal(
    statusError(404, { message: 'widgets "a" not found' }, { write: false }).message,
    'widgets "a" not found',
  );
  assert.ok(statusError(422, { message: 'x'.repeat(10_000) }, { write: true }).message.length < 600);
});

test('retryAfterMs is in milliseconds, and the header takes precedence over the body', () => {
  const body = { details: { retryAfterSeconds: 3 } };
  assert.equal(statusError(429, body, { write: false }).retryAfterMs, 3000);
  assert.equal(statusError(429, body, { write: false, retryAfterMs: 500 }).retryAfterMs, 500);
  assert.equal(new KubeError('Network', 'x').retryAfterMs, undefined);
});
