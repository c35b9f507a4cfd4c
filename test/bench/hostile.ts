// npm run bench -- hostile: the effect of one tenant's objects on the operator under its shipped memory limit.

import { annotations } from '../../src/api/constants.ts';
import { authorities, certificates } from '../../src/controllers/objects/resources.ts';
import { configMaps, defineResource, type KubeObject, secrets } from '../../src/kube/index.ts';
import { buildOperator } from '../../tools/build.ts';
import { pollUntil } from '../../tools/controlplane/poll.ts';
import { eventually } from '../support/eventually.ts';
import { type HostileKind, hostileKinds, hostileObject } from '../support/hostile.ts';
import { imageEnvironment } from '../support/image.ts';
import { type Operator, startOperator } from '../support/operator.ts';
import { inParallel } from '../support/parallel.ts';
import { isReady } from './contestant.ts';
import { type MemoryLimit, memoryLimit } from './memory-limit.ts';
import { type Plane, startPlane } from './plane.ts';
import { usageOf } from './process-usage.ts';

const limitBytes = 512 * 2 ** 20;
const attacker = 'bench-0';
const victim = 'bench-1';
/** After this wait, the other tenant counts as not served. */
const patienceMs = 180_000;
/** Concurrent requests of the attacker. */
const width = 6;

const leases = defineResource<KubeObject & { readonly spec?: { readonly leaseTransitions?: number } }>({
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
});
const resources = { secrets, configmaps: configMaps, mtlscertificates: certificates } as const;

interface Confined {
  readonly operator: Operator;
  readonly limit: MemoryLimit;
  /** How the operator ended; undefined while it runs. */
  ended?: string;
}

/** @param count the total number of objects of the tenant */
export async function benchHostile(count = 2000, bytes = 1_400_000): Promise<void> {
  const plane = await startPlane();
  const rows: Record<string, Record<string, string>> = {};
  try {
    const bench = new HostileBench(plane, await buildOperator());
    await bench.run(count, bytes, (phase, row) => {
      rows[phase] = row;
      console.log(`${phase}: ${JSON.stringify(row)}`);
    });
  } catch (error) {
    // The operator cannot start under its limit.
    rows['ended'] = { operator: String(error).slice(0, 120) };
  } finally {
    console.table(rows);
    await plane.stop();
  }
}

class HostileBench {
  readonly #plane: Plane;
  readonly #main: string;
  #served = 0;
  #started = 0;

  constructor(plane: Plane, main: string) {
    this.#plane = plane;
    this.#main = main;
  }

  async run(count: number, bytes: number, say: (phase: string, row: Record<string, string>) => void): Promise<void> {
    let leader = await this.#start();
    console.log(`${count} objects of up to ${bytes} bytes; limit of the operator: ${leader.limit.how}`);
    const { client } = this.#plane;
    const rotation = { propagationDelay: '0s', reissuesPerSecond: 1000 };
    await eventually(() => client.mergePatch(authorities, { name: 'default' }, { spec: { rotation } }));
    say('before', await this.#phase(leader, () => Promise.resolve()));
    for (const kind of hostileKinds) {
      const part = Math.ceil(count / hostileKinds.length);
      say(`running, ${part} × ${kind}`, await this.#phase(leader, () => this.#attack(kind, part, bytes)));
      if (leader.ended !== undefined) leader = await this.#again(leader);
    }
    say('root rotation', await this.#phase(leader, () => this.#rotate()));
    if (leader.ended !== undefined) leader = await this.#again(leader);
    const standby = await this.#start();
    say('take-over by a standby', await this.#phase(standby, () => leader.operator.kill()));
    leader.limit.end();
    await standby.operator.kill();
    standby.limit.end();
    leader = await this.#start();
    say('start', await this.#phase(leader, () => Promise.resolve()));
    await leader.operator.kill();
    leader.limit.end();
  }

  async #start(): Promise<Confined> {
    const limit = memoryLimit(limitBytes);
    const { main, env } = limit.options(this.#main);
    this.#started += 1;
    const options = { env: { ...imageEnvironment(), ...env }, ...(main === undefined ? {} : { main }) };
    const started = performance.now();
    const operator = await startOperator(this.#plane.cluster, options);
    console.log(`operator ${this.#started} is ready after ${seconds(performance.now() - started)}`);
    const confined: Confined = { operator, limit };
    const watch = async (): Promise<void> => {
      const { code, signal } = await operator.exited;
      confined.ended = `ended: ${signal ?? code}`;
    };
    void watch();
    return confined;
  }

  /** Starts another operator after the last one has ended. */
  async #again(dead: Confined): Promise<Confined> {
    dead.limit.end();
    return this.#start();
  }

  /** Measures during `work`: the operator's memory, its Lease, and the waits of another tenant. */
  async #phase(confined: Confined, work: () => Promise<unknown>): Promise<Record<string, string>> {
    const { operator, limit } = confined;
    const lease = () => this.#plane.client.get(leases, { namespace: 'mtls-operator', name: 'mtls-operator' });
    const before = await lease();
    const started = performance.now();
    const waits: number[] = [];
    const over = new AbortController();
    const working = work().finally(() => over.abort());
    working.catch(() => {});
    do waits.push(await this.#serveVictim(confined));
    while (!over.signal.aborted && confined.ended === undefined);
    await working;
    const after = await lease();
    const transitions = (after.spec?.leaseTransitions ?? 0) - (before.spec?.leaseTransitions ?? 0);
    return {
      'longest wait of another tenant': seconds(Math.max(...waits)),
      'peak RSS': confined.ended === undefined ? mebibytes(usageOf(operator.pid).peakBytes) : '',
      'peak of the cgroup': mebibytes(limit.peakBytes()),
      'Lease transitions': String(transitions),
      operator: confined.ended ?? 'running',
      duration: seconds(performance.now() - started),
    };
  }

  async #serveVictim(confined: Confined): Promise<number> {
    const { client } = this.#plane;
    const name = `victim-${++this.#served}`;
    const started = performance.now();
    const metadata = { namespace: victim, name };
    const resource = { metadata, spec: { server: { service: name } } };
    await client.create<KubeObject>(certificates, resource);
    const isServed = async () => confined.ended !== undefined || isReady(await client.get(certificates, metadata));
    await pollUntil(isServed, patienceMs);
    return performance.now() - started;
  }

  async #attack(kind: HostileKind, count: number, bytes: number): Promise<void> {
    const { client } = this.#plane;
    const create = (index: number): Promise<unknown> => {
      const { collection, object } = hostileObject(kind, attacker, index, bytes);
      return client.create<KubeObject>(resources[collection], object as KubeObject, { metadataOnly: true });
    };
    await inParallel(Array(count).keys(), create, width);
  }

  async #rotate(): Promise<void> {
    const { client } = this.#plane;
    const token = `hostile-${this.#served}`;
    const asked = { metadata: { annotations: { [annotations.rotateRoot]: token } } };
    await client.mergePatch(authorities, { name: 'default' }, asked);
    const isOver = async (): Promise<boolean> => {
      const { status } = await client.get(authorities, { name: 'default' });
      return status?.lastHandledRotateRoot === token && status.rotation === undefined;
    };
    if (!(await pollUntil(isOver, patienceMs, 500)))
      console.log(`the rotation has not ended after ${patienceMs / 1000} s`);
  }
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const mebibytes = (bytes: number | undefined): string =>
  bytes === undefined ? '' : `${Math.round(bytes / 2 ** 20)} MiB`;
