// npm test loads this file into every test process. A test's time-out is a timer of the same process: it does not fire while
// the event loop is blocked, and it does not report a process that stays alive after its tests. This file covers both cases.

import { writeSync } from 'node:fs';
import { after, beforeEach } from 'node:test';
import { isMainThread, Worker } from 'node:worker_threads';

import { isLongRun } from './long-run.ts';

/** The process is killed when the event loop is blocked for twice this time. */
const STUCK_MS = 60_000;

/** How long a process may stay alive after its tests. The `after` hooks of the file have this time, too. */
const LEFT_OPEN_MS = 120_000;

const LONGEST_TITLE = 1024;

/** Runs in a worker thread. The first number counts turns of the event loop, the second is the length of the title. */
const watcher = `
  const { workerData: { numbers, title } } = require('node:worker_threads');
  let turns = 0;
  let late = 0;
  while (late < 2) {
    late = Atomics.wait(numbers, 0, turns, ${STUCK_MS}) === 'timed-out' ? late + 1 : 0;
    turns = Atomics.load(numbers, 0);
  }
  const text = Buffer.from(title.slice(0, numbers[1])).toString();
  const line = 'The event loop has been blocked for ${(2 * STUCK_MS) / 1000} s. The last test that started: ' + text;
  require('node:fs').writeSync(2, '\\n' + line + '\\n');
  process.kill(process.pid, 'SIGKILL');
`;

function watchEventLoop(): void {
  const numbers = new Int32Array(new SharedArrayBuffer(8));
  const title = new Uint8Array(new SharedArrayBuffer(LONGEST_TITLE));
  // The worker must not load this file.
  new Worker(watcher, { eval: true, execArgv: [], workerData: { numbers, title } }).unref();
  setInterval(() => {
    Atomics.add(numbers, 0, 1);
    Atomics.notify(numbers, 0);
  }, 1000).unref();
  beforeEach((t) => {
    numbers[1] = new TextEncoder().encodeInto(t.fullName, title).written;
  });
}

function watchEnd(): void {
  const end = (): void => {
    const open = process.getActiveResourcesInfo().join(', ');
    writeSync(
      2,
      `\nThe tests ended ${LEFT_OPEN_MS / 1000} s ago, but the process is still alive because of: ${open}\n`,
    );
    process.exit(1);
  };
  after(() => void setTimeout(end, LEFT_OPEN_MS).unref());
}

if (isMainThread) {
  watchEnd();
  if (!isLongRun) watchEventLoop();
}
