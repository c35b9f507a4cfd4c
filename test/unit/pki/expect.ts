import assert from 'node:assert/strict';

import { PkiError, type PkiErrorCode } from '../../../src/pki/index.ts';

/** Asserts that a call is refused with this code, and with these words should they matter. */
export const throwsCode = (code: PkiErrorCode, act: () => unknown, message?: RegExp): void =>
  assert.throws(
    act,
    (error) =>
      error instanceof PkiError && error.code === code && (message === undefined || message.test(error.message)),
  );

/** Calls, and passes over the one error that untrusted bytes may cause. */
export function onlyPkiErrors(act: () => unknown): void {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof PkiError, String(error));
  }
}
