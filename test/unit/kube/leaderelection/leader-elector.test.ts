import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { LeaderElector, type LeaderElectorOptions, type Lease, silentLog } from '../../../../src/kube/index.ts';
import { eventually } from '../../../support/eventually.ts';
import { type Exchange, type FaultServer, serve } from '../api/fault-server.ts';

// Longer than any test, so that nothing in a test happens because of a timeout.
const long = { leaseDurationMs: 600_000, renewDeadlineMs: 300_000, retryPeriodMs: 10 };

interface LeaseServer {
  readonly server: FaultServer;
  spec: NonNullable<Lease['spec']> | undefined;
  writes: number;
  /** Handles a request instead of the server if it returns true. */
  fault: (exchange: Exchange) => boolean;
}

/** An API server with one Lease and its preconditions. */
async function serveLease(t: TestContext, spec?: Lease['spec']): Promise<LeaseServer> {
  let resourceVersion = 1;
  const answer = (exchange: Exchange): void => {
    if (state.fault(exchange)) return;
    const metadata = { namespace: 'n', name: 'l', uid: 'u', resourceVersion: String(resourceVersion) };
    if (exchange.method === 'GET') {
      if (state.spec) exchange.json(200, { metadata, spec: state.spec });
      else exchange.status(404, 'NotFound');
      return;
    }
    const sent = JSON.parse(exchange.body) as Lease;
    if (exchange.method === 'POST' && state.spec) return exchange.status(409, 'AlreadyExists');
    if (exchange.method === 'PUT' && sent.metadata.resourceVersion !== metadata.resourceVersion) {
      return exchange.status(409, 'Conflict');
    }
    resourceVersion += 1;
    state.writes += 1;
    state.spec = sent.spec ?? {};
    exchange.json(200, { ...sent, metadata: { ...metadata, resourceVersion: String(resourceVersion) } });
  };
  const server = await serve(t, answer);
  const state: LeaseServer = { server, spec, writes: 0, fault: () => false };
  return state;
}

interface Candidate {
  readonly elector: LeaderElector;
  readonly transitions: boolean[];
  /** How often `lost` aborted. */
  readonly losses: () => number;
  readonly stop: () => Promise<void>;
}

function campaign(
  t: TestContext,
  { server }: LeaseServer,
  identity: string,
  options: Partial<LeaderElectorOptions> = long,
): Candidate {
  const transitions: boolean[] = [];
  let losses = 0;
  const elector = new LeaderElector({
    client: server.client(),
    lease: { namespace: 'n', name: 'l' },
    identity,
    log: silentLog,
    onTransition: (leading) => transitions.push(leading),
    ...options,
  });
  const controller = new AbortController();
  const run = elector.run(controller.signal, async (leadership, lost) => {
    lost.addEventListener('abort', () => (losses += 1));
    await abortOf(leadership);
  });
  const stop = async (): Promise<void> => {
    controller.abort();
    await run;
  };
  t.after(stop);
  return { elector, transitions, losses: () => losses, stop };
}

async function abortOf(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
}

test('the first candidate leads; the second does not wait for the expiry of a Lease that was released', async (t) => {
  const lease = await serveLease(t);
  const first = campaign(t, lease, 'first');
  await eventually(() => assert.equal(first.elector.isLeader, true));
  const second = campaign(t, lease, 'second');
  await eventually(() => assert.equal(second.elector.holder, 'first'));
  assert.equal(second.elector.isLeader, false);
  assert.match(lease.spec?.renewTime ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assert.equal(lease.spec?.leaseDurationSeconds, 600);

  await first.stop();
  await eventually(() => assert.equal(second.elector.isLeader, true));
  assert.deepEqual([lease.spec?.holderIdentity, lease.spec?.leaseTransitions], ['second', 1]);
  assert.deepEqual(first.transitions, [true, false]);
  await second.stop();
  assert.deepEqual([lease.spec?.holderIdentity, lease.spec?.leaseDurationSeconds], ['', 1]);
});

test('one of several candidates that start together leads', async (t) => {
  const lease = await serveLease(t);
  const candidates = ['a', 'b', 'c', 'd'].map((identity) => campaign(t, lease, identity));
  await eventually(() => {
    for (const { elector } of candidates) assert.equal(elector.holder, lease.spec?.holderIdentity);
  });
  await eventually(() => assert.equal(candidates.filter(({ elector }) => elector.isLeader).length, 1));
});

test('a candidate takes a Lease that has not changed for its duration, whatever the times in the Lease', async (t) => {
  for (const renewTime of ['2001-01-01T00:00:00.000000Z', '2099-01-01T00:00:00.000000Z']) {
    const lease = await serveLease(t, { holderIdentity: 'dead', leaseDurationSeconds: 1, renewTime });
    const started = performance.now();
    const { elector, stop } = campaign(t, lease, 'heir');
    await eventually(() => assert.equal(elector.isLeader, true));
    assert.ok(performance.now() - started >= 1000);
    await stop();
  }
});

test('a candidate takes a Lease with its own identity at once', async (t) => {
  const renewTime = '2001-01-01T00:00:00.000000Z';
  const lease = await serveLease(t, {
    holderIdentity: 'me',
    leaseDurationSeconds: 600,
    renewTime,
    leaseTransitions: 4,
  });
  const { elector } = campaign(t, lease, 'me');
  await eventually(() => assert.equal(elector.isLeader, true));
  assert.equal(lease.spec?.leaseTransitions, 4);
});

test('a leader that cannot renew loses the Lease, and leads again when the API server answers', async (t) => {
  const lease = await serveLease(t);
  const short = { leaseDurationMs: 600_000, renewDeadlineMs: 100, retryPeriodMs: 10 };
  const { elector, transitions, losses } = campaign(t, lease, 'me', short);
  await eventually(() => assert.equal(elector.isLeader, true));
  lease.fault = (exchange) => {
    exchange.status(500, 'InternalError');
    return true;
  };
  await eventually(() => assert.equal(elector.isLeader, false));
  await eventually(() => assert.ok(losses() >= 1));
  lease.fault = () => false;
  await eventually(() => assert.equal(elector.isLeader, true));
  assert.deepEqual(transitions.slice(0, 3), [true, false, true]);
});

test('a leader loses the Lease if the API server does not answer', async (t) => {
  const lease = await serveLease(t);
  const short = { leaseDurationMs: 600_000, renewDeadlineMs: 100, retryPeriodMs: 10 };
  const { elector, losses } = campaign(t, lease, 'me', short);
  await eventually(() => assert.equal(elector.isLeader, true));
  lease.fault = () => true;
  await eventually(() => {
    assert.ok(losses() >= 1);
    assert.equal(elector.isLeader, false);
  });
});

test('a leader whose Lease another candidate has taken stops at once, and does not release it', async (t) => {
  const lease = await serveLease(t);
  const { elector, losses, stop } = campaign(t, lease, 'me');
  await eventually(() => assert.equal(elector.isLeader, true));
  await eventually(async () => {
    const { metadata, spec } = (await (await fetch(`${lease.server.url}/lease`)).json()) as Lease;
    const body = JSON.stringify({ metadata, spec: { ...spec, holderIdentity: 'usurper' } });
    assert.equal((await fetch(`${lease.server.url}/lease`, { method: 'PUT', body })).status, 200);
  });
  await eventually(() => assert.equal(losses(), 1));
  await stop();
  assert.equal(lease.spec?.holderIdentity, 'usurper');
});

test('a leader that finishes its work after a stop renews the Lease, and then releases it', async (t) => {
  const lease = await serveLease(t);
  const controller = new AbortController();
  const elector = new LeaderElector({
    client: lease.server.client(),
    lease: { namespace: 'n', name: 'l' },
    identity: 'me',
    log: silentLog,
    ...long,
  });
  await elector.run(controller.signal, async (leadership, lost) => {
    controller.abort();
    assert.equal(leadership.aborted, true);
    const before = lease.writes;
    await eventually(() => assert.ok(lease.writes >= before + 3));
    assert.deepEqual([lost.aborted, lease.spec?.holderIdentity], [false, 'me']);
  });
  assert.equal(lease.spec?.holderIdentity, '');
});

test('run throws the error of the leader after it has released the Lease', async (t) => {
  const lease = await serveLease(t);
  const options = {
    client: lease.server.client(),
    lease: { namespace: 'n', name: 'l' },
    identity: 'me',
    log: silentLog,
  };
  const elector = new LeaderElector({ ...options, ...long });
  const run = elector.run(new AbortController().signal, () => Promise.reject(new Error('broken')));
  await assert.rejects(run, /broken/);
  assert.equal(lease.spec?.holderIdentity, '');
  assert.equal(elector.isLeader, false);
});

test('the constructor refuses durations that do not fit together', async (t) => {
  const { server } = await serveLease(t);
  const options = { client: server.client(), lease: { namespace: 'n', name: 'l' }, identity: 'me', log: silentLog };
  assert.throws(() => new LeaderElector({ ...options, leaseDurationMs: 10_000 }), RangeError);
  assert.throws(() => new LeaderElector({ ...options, retryPeriodMs: 9_000 }), RangeError);
  assert.throws(() => new LeaderElector({ ...options, renewDeadlineMs: 6_000, retryPeriodMs: 5_000 }), RangeError);
});
