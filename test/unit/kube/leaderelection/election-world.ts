import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
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
} from '../../../../src/kube/index.ts';

export const timing = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };

/** The longest time for a release. */
export const longestReleaseMs = 5_000;

/**
 * The fate of a request. The API server processes it if it is `answered`, `cut after` or `lost after`. If it is `cut`, the
 * connection breaks and the client notices. If it is `lost`, the client waits until its timeout.
 */
export interface Fate {
  readonly outcome: 'answered' | 'refused' | 'cut before' | 'cut after' | 'lost before' | 'lost after';
  /** How long the request takes to reach the API server, in milliseconds. */
  readonly thereMs: number;
  /** How long the answer takes to reach the client, in milliseconds. */
  readonly backMs: number;
}

export const prompt: Fate = { outcome: 'answered', thereMs: 0, backMs: 1 };
export const lost: Fate = { ...prompt, outcome: 'lost before' };
export const refused: Fate = { ...prompt, outcome: 'refused' };

type Verb = 'get' | 'create' | 'replace';

/** A request as its candidate sent it, with times of the candidate's clock. */
export interface Sent {
  readonly verb: Verb;
  readonly sentAtMs: number;
  readonly timeoutMs: number;
}

// Clocks with different speeds have fractional milliseconds.
const roundingMs = 1e-3;

/** Simulated time, which passes only when everything waits for it. It also moves the wall clock, because a renewal writes the date. */
export class Timeline {
  readonly #beganAt = Date.parse('2026-11-29T12:00:00Z');
  nowMs = 0;
  readonly #due: { readonly atMs: number; readonly act: () => void }[] = [];

  constructor() {
    mock.timers.reset();
    mock.timers.enable({ apis: ['Date'], now: this.#beganAt });
  }

  after(ms: number, act: () => void): void {
    const atMs = this.nowMs + Math.max(0, ms);
    const behind = this.#due.findIndex((one) => one.atMs > atMs);
    this.#due.splice(behind < 0 ? this.#due.length : behind, 0, { atMs, act });
  }

  /** Lets time pass until `untilMs`, or until `isOver` returns true. Calls `check` after each action. */
  async run(untilMs: number, check: () => void = () => {}, isOver: () => boolean = () => false): Promise<void> {
    let actsAtOnce = 0;
    for (;;) {
      await new Promise(setImmediate);
      check();
      if (isOver()) return;
      const next = this.#due[0];
      if (next === undefined || next.atMs > untilMs) break;
      actsAtOnce = next.atMs > this.nowMs ? 0 : actsAtOnce + 1;
      assert.ok(actsAtOnce < 1000, `time stands still at ${this.nowMs} ms: something is tried without a pause`);
      this.#due.shift();
      this.#goTo(next.atMs);
      next.act();
    }
    this.#goTo(untilMs);
  }

  #goTo(ms: number): void {
    this.nowMs = ms;
    mock.timers.setTime(this.wallClock(ms).getTime());
  }

  /** The date at a simulated time. */
  wallClock(ms: number): Date {
    return new Date(Math.floor(this.#beganAt + ms));
  }
}

/** An API server with one Lease and its preconditions. */
export class LeaseServer {
  lease: Served<Lease> | undefined;
  #revision = 0;

  get spec(): NonNullable<Lease['spec']> {
    return this.lease?.spec ?? {};
  }

  /** Writes without a precondition, as another program would. */
  put(spec: Lease['spec'], labels: Record<string, string> = {}): Served<Lease> {
    this.#revision += 1;
    const metadata = { namespace: 'n', name: 'l', uid: 'u', resourceVersion: String(this.#revision), labels };
    this.lease = { metadata, spec } as Served<Lease>;
    return this.lease;
  }

  /** Processes a request and returns the answer. */
  process(verb: Verb, sent: Lease | undefined): Served<Lease> | KubeError {
    if (verb === 'create') return this.lease === undefined ? this.put(sent?.spec) : conflict('AlreadyExists');
    if (this.lease === undefined) return new KubeError('NotFound', 'the Lease does not exist');
    if (sent === undefined) return this.lease;
    const { resourceVersion = this.lease.metadata.resourceVersion } = sent.metadata as { resourceVersion?: string };
    return resourceVersion === this.lease.metadata.resourceVersion ? this.put(sent.spec) : conflict('Conflict');
  }
}

const conflict = (code: 'AlreadyExists' | 'Conflict'): KubeError => new KubeError(code, 'another was faster');

export interface CandidateOptions {
  readonly identity: string;
  /** The speed of its clock, relative to the world's. */
  readonly rate?: number;
  /** How long its work as the leader continues after a stop. */
  readonly drainMs?: number;
  /** Whether its work ends with an error when the Lease is lost. */
  readonly failsWhenLost?: boolean;
  readonly timing?: Partial<typeof timing>;
}

/** A process that tries to become the leader. Its times are those of its own clock. */
export class Candidate {
  readonly elector: LeaderElector;
  readonly identity: string;
  readonly sent: Sent[] = [];
  /** The times at which its work as the leader began. */
  readonly begun: number[] = [];
  /** For each loss of the Lease, the time since it sent the last successful renewal. */
  readonly lostAfterMs: number[] = [];
  /** True while its work continues and it may write. */
  isActing = false;
  wasKilledAsLeader = false;
  readonly #world: ElectionWorld;
  readonly #rate: number;
  readonly #drainMs: number;
  readonly #failsWhenLost: boolean;
  readonly #timing: typeof timing;
  readonly #stop = new AbortController();
  #isDead = false;
  /** When its work as the leader ended while it held the Lease. */
  #releasesFromMs: number | undefined;
  /** When it sent the last write that acquired or renewed the Lease and was answered. */
  #renewedAtMs = Number.NaN;
  /** The Lease in the last answer, and when an answer first contained this version. */
  #seen: { readonly spec: Lease['spec']; readonly atMs: number } | undefined;
  readonly ended: Promise<void>;

  constructor(world: ElectionWorld, options: CandidateOptions) {
    this.#world = world;
    this.identity = options.identity;
    this.#rate = options.rate ?? 1;
    this.#drainMs = options.drainMs ?? 0;
    this.#failsWhenLost = options.failsWhenLost ?? false;
    this.#timing = { ...timing, ...options.timing };
    this.elector = new LeaderElector({
      client: this.#client(),
      lease: { namespace: 'n', name: 'l' },
      identity: this.identity,
      log: silentLog,
      clock: this.#clock,
      ...this.#timing,
    });
    this.ended = this.elector.run(this.#stop.signal, (leadership, lost) => this.#work(leadership, lost));
  }

  /** Stops the process like SIGTERM. */
  stop(): void {
    this.#stop.abort();
  }

  get isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Kills the process like SIGKILL. Its requests may still arrive. */
  kill(): void {
    this.#isDead = true;
    this.wasKilledAsLeader = this.isActing;
    this.isActing = false;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** True once its work has ended while it held the Lease. */
  get hasReleased(): boolean {
    return this.#releasesFromMs !== undefined;
  }

  readonly #clock: ElectorClock = {
    now: () => this.#world.timeline.nowMs * this.#rate,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        onAbort(signal, resolve);
        this.#after(ms, resolve);
      }),
  };

  #after(ms: number, act: () => void): void {
    this.#world.timeline.after(ms / this.#rate, () => {
      if (!this.#isDead) act();
    });
  }

  async #work(leadership: AbortSignal, lost: AbortSignal): Promise<void> {
    this.isActing = true;
    this.begun.push(this.#clock.now());
    onAbort(lost, () => this.#loses());
    await aborted(leadership);
    if (!lost.aborted) await this.#clock.sleep(this.#drainMs, lost);
    this.isActing = false;
    if (!lost.aborted) this.#releasesFromMs = this.#clock.now();
    else if (this.#failsWhenLost) throw new KubeError('Aborted', 'the call was aborted');
  }

  #loses(): void {
    this.isActing = false;
    const afterMs = this.#clock.now() - this.#renewedAtMs;
    this.lostAfterMs.push(afterMs);
    const { renewDeadlineMs } = this.#timing;
    const isTaken = this.#seen?.spec?.holderIdentity !== this.identity;
    this.#world.require(afterMs <= renewDeadlineMs + roundingMs, `it led until ${afterMs} ms after its last renewal`);
    this.#world.require(
      isTaken || afterMs >= renewDeadlineMs - roundingMs,
      `it gave up ${afterMs} ms after its last renewal`,
    );
  }

  #client(): LeaderElectorOptions['client'] {
    return {
      get: (_: unknown, __: unknown, options: Limits) => this.#send('get', undefined, options),
      create: (_: unknown, lease: Lease, options: Limits) => this.#send('create', lease, options),
      replace: (_: unknown, lease: Lease, options: Limits) => this.#send('replace', lease, options),
    } as unknown as LeaderElectorOptions['client'];
  }

  async #send(verb: Verb, given: Lease | undefined, { timeoutMs = 30_000, signal }: Limits = {}) {
    if (signal?.aborted) throw new KubeError('Aborted', 'the call was aborted');
    const sent = { verb, sentAtMs: this.#clock.now(), timeoutMs };
    this.#assertAllowed(sent, given);
    this.sent.push(sent);
    const answer = await this.#answer(sent, given, signal);
    if (!isDeepStrictEqual(answer.spec, this.#seen?.spec)) this.#seen = { spec: answer.spec, atMs: this.#clock.now() };
    if (given?.spec?.holderIdentity === this.identity) this.#renewedAtMs = sent.sentAtMs;
    return answer;
  }

  #answer({ verb, timeoutMs }: Sent, given: Lease | undefined, signal: AbortSignal | undefined) {
    const { server, timeline } = this.#world;
    const { outcome, thereMs, backMs } = this.#world.fateOf(this, verb);
    return new Promise<Served<Lease>>((resolve, reject) => {
      let isOver = false;
      const settle = (act: () => void): void => {
        if (isOver || this.#isDead) return;
        isOver = true;
        stopListening();
        act();
      };
      const fail = (code: 'Aborted' | 'Network' | 'ServerError' | 'Timeout'): void =>
        settle(() => reject(new KubeError(code, outcome, { outcomeUnknown: true })));
      const stopListening = onAbort(signal, () => fail('Aborted'));
      this.#after(timeoutMs, () => fail('Timeout'));
      timeline.after(thereMs, () => {
        if (outcome === 'lost before') return;
        if (outcome === 'cut before') return fail('Network');
        if (outcome === 'refused') return timeline.after(backMs, () => fail('ServerError'));
        const answer = server.process(verb, given);
        if (outcome === 'lost after') return;
        timeline.after(backMs, () => {
          if (outcome === 'cut after') fail('Network');
          else settle(() => (answer instanceof KubeError ? reject(answer) : resolve(answer)));
        });
      });
    });
  }

  /** Checks the rules that apply to every request. */
  #assertAllowed({ sentAtMs, timeoutMs }: Sent, given: Lease | undefined): void {
    const { renewDeadlineMs } = this.#timing;
    const { holderIdentity: holder, leaseDurationSeconds } = this.#seen?.spec ?? {};
    const what = given === undefined ? 'a read' : 'a write';
    const isRelease = this.#releasesFromMs !== undefined;
    // A release has its own deadline. All other requests end at the renew deadline.
    const mostMs = isRelease ? Math.min(longestReleaseMs, renewDeadlineMs / 2) : renewDeadlineMs;
    const fromMs = this.#releasesFromMs ?? (this.isActing ? this.#renewedAtMs : sentAtMs);
    const lateMs = sentAtMs + timeoutMs - fromMs - mostMs;
    this.#world.require(lateMs <= roundingMs, `${what} may be answered ${lateMs} ms after its time`);
    if (given === undefined) return;
    const { holderIdentity: next } = given.spec ?? {};
    this.#world.require(next === (isRelease ? '' : this.identity), `it gives the Lease to '${next}'`);
    if (isRelease) this.#world.require(holder === this.identity, `it releases the Lease of '${holder}'`);
    if (!holder || holder === this.identity) return;
    const durationMs = leaseDurationSeconds === undefined ? this.#timing.leaseDurationMs : leaseDurationSeconds * 1000;
    const unchangedMs = sentAtMs - (this.#seen?.atMs ?? 0);
    this.#world.require(
      unchangedMs >= durationMs - roundingMs,
      `it takes a Lease of ${durationMs} ms that it has seen unchanged for ${unchangedMs}`,
    );
  }
}

interface Limits {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Replicas that compete for one Lease of an API server, in simulated time. */
export class ElectionWorld {
  readonly timeline = new Timeline();
  readonly server = new LeaseServer();
  readonly candidates: Candidate[] = [];
  /** Returns the fate of a request that is sent now. */
  fateOf: (candidate: Candidate, verb: Verb) => Fate = () => prompt;
  #failure: Error | undefined;

  start(options: CandidateOptions): Candidate {
    const candidate = new Candidate(this, options);
    this.candidates.push(candidate);
    candidate.ended.catch((error: Error) => (this.#failure ??= error));
    return candidate;
  }

  /** Records a broken rule. The electors catch errors of requests, so the test fails when time passes. */
  require(isKept: boolean, problem: string): void {
    if (!isKept) this.#failure ??= new assert.AssertionError({ message: `at ${this.timeline.nowMs} ms: ${problem}` });
  }

  /** Gives these fates to the next requests, one after the other, and the last fate to all further requests. */
  decide(...fates: readonly Fate[]): void {
    const left = [...fates];
    this.fateOf = () => (left.length > 1 ? left.shift() : left[0]) ?? prompt;
  }

  /** Lets time pass for `ms` or until `isOver` returns true. Throws if two candidates act at the same time. */
  async pass(ms: number, isOver?: () => boolean): Promise<void> {
    await this.timeline.run(this.timeline.nowMs + ms, () => this.#check(), isOver);
  }

  /** Lets time pass until a candidate leads. */
  async leads(candidate: Candidate): Promise<void> {
    await this.pass(120_000, () => candidate.isActing);
    assert.ok(candidate.isActing, `${candidate.identity} does not lead`);
  }

  /** Stops every candidate and waits until it has ended. */
  readonly end = async (): Promise<void> => {
    const alive = this.candidates.filter(({ isDead }) => !isDead);
    for (const candidate of alive) candidate.stop();
    await this.pass(600_000);
    await Promise.all(alive.map(({ ended }) => ended));
  };

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    const acting = this.candidates.filter(({ isActing }) => isActing);
    const names = acting.map(({ identity }) => identity).join(' and ');
    assert.ok(acting.length <= 1, `${names} lead at the same time, at ${this.timeline.nowMs} ms`);
    for (const { elector, isActing, identity, isDead, hasReleased } of this.candidates) {
      if (isDead) continue;
      assert.ok(!isActing || elector.isLeader, `${identity} works and does not lead`);
      assert.ok(!elector.isLeader || isActing || hasReleased, `${identity} has lost the Lease and still leads`);
    }
  }
}
