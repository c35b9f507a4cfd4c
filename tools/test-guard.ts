// npm test loads this into every test process, before its tests. A test has a time-out, but that is a timer of its own
// process. It says nothing when the event loop never comes back, and nothing when all tests have ended and the process has not.

import { writeSync } from 'node:fs';
import { after, beforeEach } from 'node:test';
import { isMainThread, Worker } from 'node:worker_threads';

import { isLongRun } from './long-run.ts';

/** Twice as long without a turn of the event loop, and the process is killed. */
const STUCK_MS = 60_000;

/** How long a process may go on when its tests have ended. The `after` hooks of the file have this time too. */
const LEFT_OPEN_MS = 120_000;

const LONGEST_TITLE = 1024;

/** Runs beside the event loop. The first number says that the event loop turns, the second how long the title is. */
const watcher = `
  const { workerData: { numbers, title } } = require('node:worker_threads');
  let turns = 0;
  let late = 0;
  while (late < 2) {
    late = Atomics.wait(numbers, 0, turns, ${STUCK_MS}) === 'timed-out' ? late + 1 : 0;
    turns = Atomics.load(numbers, 0);
  }
  const text = Buffer.from(title.slice(0, numbers[1])).toString();
  const line = 'The event loop has not come back for ${(2 * STUCK_MS) / 1000} s. The last test that began: ' + text;
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
    writeSync(2, `\nThe tests have ended, and ${LEFT_OPEN_MS / 1000} s later this keeps the process alive: ${open}\n`);
    process.exit(1);
  };
  after(() => void setTimeout(end, LEFT_OPEN_MS).unref());
}

if (isMainThread) {
  watchEnd();
  if (!isLongRun) watchEventLoop();
}
