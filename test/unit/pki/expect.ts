import assert from 'node:assert/strict';

import { PkiError, type PkiErrorCode } from '../../../src/pki/index.ts';

/** Asserts that a call throws a PkiError with this code and, if given, a message that matches. */
export const throwsCode = (code: PkiErrorCode, act: () => unknown, message?: RegExp): void =>
  assert.throws(
    act,
    (error) =>
      error instanceof PkiError && error.code === code && (message === undefined || message.test(error.message)),
  );

/** Calls a function and ignores a PkiError, the only error that untrusted bytes may cause. */
export function onlyPkiErrors(act: () => unknown): void {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof PkiError, String(error));
  }
}
