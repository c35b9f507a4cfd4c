import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import {
  aborted,
  type ElectorClock,
  KubeError,
  LeaderElector,
  type LeaderElectorOptions,
  type Lease,
  onAbort,
  type Served,
  silentLog,
} from '../../../src/kube/index.ts';

const timing = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };

/** A clock whose time passes only when everything waits for it. */
class VirtualClock implements ElectorClock {
  #nowMs = 0;
  readonly #timers: { readonly atMs: number; readonly ring: () => void }[] = [];

  now(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      onAbort(signal, resolve);
      this.#timers.push({ atMs: this.#nowMs + ms, ring: resolve });
    });
  }

  async run(untilMs: number, isOver = (): boolean => false): Promise<void> {
    while (!isOver()) {
      await new Promise(setImmediate);
      this.#timers.sort((a, b) => a.atMs - b.atMs);
      const next = this.#timers[0];
      if (next === undefined || next.atMs > untilMs) return;
      this.#timers.shift();
      this.#nowMs = next.atMs;
      next.ring();
    }
  }
}

/** What becomes of one request: how long it takes to the server and back, and what the server answers. */
interface Fate {
  readonly thereMs: number;
  readonly backMs: number;
  readonly answer: 'sound' | 'ServerError' | 'Conflict';
}

const sound: Fate = { thereMs: 0, backMs: 1, answer: 'sound' };

/** A server with one Lease, on virtual time. A request that takes longer than its time-out may still be carried out. */
class LeaseServer {
  readonly #clock: VirtualClock;
  readonly fates: Fate[] = [];
  lease: Served<Lease> | undefined;
  #revision = 0;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  /** A client that tells when the writes were begun that took or renewed the Lease. */
  client(onRenewed: (begunAtMs: number) => void): LeaderElectorOptions['client'] {
    const write = async (object: Lease, options: { timeoutMs?: number } = {}): Promise<Served<Lease>> => {
      const begunAtMs = this.#clock.now();
      const written = await this.#request(options.timeoutMs, () => {
        const { resourceVersion } = object.metadata as { resourceVersion?: string };
        if (resourceVersion !== this.lease?.metadata.resourceVersion) throw new KubeError('Conflict', 'it has changed');
        this.#revision += 1;
        const metadata = { namespace: 'n', name: 'l', uid: 'u', resourceVersion: String(this.#revision) };
        this.lease = { ...object, metadata } as Served<Lease>;
        return this.lease;
      });
      if (object.spec?.holderIdentity !== '') onRenewed(begunAtMs);
      return written;
    };
    const client = {
      get: (_: unknown, __: unknown, options: { timeoutMs?: number } = {}) =>
        this.#request(options.timeoutMs, () => {
          if (this.lease === undefined) throw new KubeError('NotFound', 'there is none');
          return this.lease;
        }),
      create: (_: unknown, lease: Lease, options?: { timeoutMs?: number }) => write(lease, options),
      replace: (_: unknown, lease: Lease, options?: { timeoutMs?: number }) => write(lease, options),
    };
    return client as unknown as LeaderElectorOptions['client'];
  }

  async #request<T>(timeoutMs = 30_000, carryOut: () => T): Promise<T> {
    const { thereMs, backMs, answer } = this.fates.shift() ?? sound;
    const outcome = this.#clock.sleep(thereMs).then(async () => {
      if (answer !== 'sound') throw new KubeError(answer, 'as the test wants');
      const result = carryOut();
      await this.#clock.sleep(backMs);
      return result;
    });
    const late = this.#clock.sleep(timeoutMs).then(() => {
      throw new KubeError('Timeout', 'no answer', { outcomeUnknown: true });
    });
    late.catch(() => {});
    return Promise.race([outcome, late]);
  }
}

interface Candidate {
  readonly elector: LeaderElector;
  readonly stop: AbortController;
  readonly ended: Promise<void>;
}

/** Runs a candidate that asserts, whenever it loses the Lease, that it did so in time. */
function campaign(server: LeaseServer, clock: VirtualClock, identity: string, late: number[]): Candidate {
  let begunAtMs = Number.NaN;
  const lateMs = (): number => clock.now() - (begunAtMs + timing.renewDeadlineMs);
  const client = server.client((atMs) => {
    // A renewal that is answered too late must not be one: another may have taken the Lease meanwhile.
    if (elector.isLeader && lateMs() > 0) late.push(lateMs());
    begunAtMs = atMs;
  });
  const lease = { namespace: 'n', name: 'l' };
  const elector = new LeaderElector({ client, lease, identity, log: silentLog, clock, ...timing });
  const stop = new AbortController();
  const ended = elector.run(stop.signal, async (leadership, lost) => {
    onAbort(lost, () => late.push(lateMs()));
    await aborted(leadership);
  });
  return { elector, stop, ended };
}

describe('a leader that cannot renew stops one renew deadline after its last renewal was begun,', () => {
  const cases: Readonly<Record<string, readonly Fate[]>> = {
    'though reading and writing take just less than the deadline each': [
      { ...sound, answer: 'Conflict' },
      // The attempt that follows has six seconds left.
      { ...sound, thereMs: 5_900 },
      { ...sound, thereMs: 5_900 },
    ],
    'though the last renewal was answered late': [
      { ...sound, backMs: 7_000 },
      { ...sound, thereMs: 60_000 },
    ],
    'though the Lease is gone and cannot be created': [
      { ...sound, answer: 'Conflict' },
      { ...sound, thereMs: 5_900 },
      { ...sound, thereMs: 60_000 },
    ],
  };
  for (const [title, fates] of Object.entries(cases)) {
    test(title, async () => {
      const clock = new VirtualClock();
      const server = new LeaseServer(clock);
      const late: number[] = [];
      const { elector, stop, ended } = campaign(server, clock, 'me', late);
      await clock.run(60_000, () => elector.isLeader);
      if (title.includes('is gone')) server.lease = undefined;
      server.fates.push(...fates, ...Array.from({ length: 20 }, () => ({ ...sound, thereMs: 60_000 })));
      await clock.run(60_000, () => late.length > 0);
      assert.deepEqual(late, [0]);
      stop.abort();
      await clock.run(600_000);
      await ended;
    });
  }
});

describe('two candidates', () => {
  const delay = fc.oneof(fc.constant(1), fc.integer({ min: 0, max: 14_000 }));
  const answer = fc.oneof(
    { weight: 4, arbitrary: fc.constant('sound' as const) },
    fc.constantFrom('ServerError' as const, 'Conflict' as const),
  );
  const fates = fc.array(fc.record({ thereMs: delay, backMs: delay, answer }), { maxLength: 40 });

  test('never lead at the same time, and lose the Lease in time, however long requests take', async () => {
    await fc.assert(
      fc.asyncProperty(fates, async (list) => {
        const clock = new VirtualClock();
        const server = new LeaseServer(clock);
        server.fates.push(...list);
        const late: number[] = [];
        const both = ['a', 'b'].map((identity) => campaign(server, clock, identity, late));
        await clock.run(300_000, () => {
          assert.ok(!both.every(({ elector }) => elector.isLeader), 'both lead');
          return server.fates.length === 0;
        });
        for (const { stop } of both) stop.abort();
        await clock.run(600_000);
        await Promise.all(both.map(({ ended }) => ended));
        assert.ok(
          late.every((ms) => ms <= 0),
          `a Lease was lost ${late.join(', ')} ms after its deadline`,
        );
      }),
      { numRuns: 200 },
    );
  });
});
