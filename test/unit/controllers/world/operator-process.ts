import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { secretKeys } from '../../../../src/api/constants.ts';
import { authorities, certificates } from '../../../../src/controllers/objects/resources.ts';
import { base64 } from '../../../../src/controllers/objects/secret-data.ts';
import { Operator } from '../../../../src/controllers/operator.ts';
import { namespaces, secrets, silentLog } from '../../../../src/kube/index.ts';
import { authority } from '../../../support/fixtures/authority.ts';
import { certificate } from '../../../support/fixtures/certificate.ts';
import { encodedRoot, root } from '../../../support/fixtures/roots.ts';
import type { TestIssuer } from '../../../support/sign.ts';
import { MemoryApi } from './memory-api.ts';
import { MemoryClient } from './memory-client.ts';

const rootRef = { namespace: 'mtls-operator', name: 'mtls-root' };
/** The root in the Secret when the replica starts. */
export const first = root({ name: 'First' });

const dataOf = (signer: TestIssuer): Record<string, string> => {
  const { crt, key } = encodedRoot(signer);
  return { [secretKeys.certificate]: base64(crt), [secretKeys.privateKey]: base64(key) };
};

interface StandbyOptions {
  readonly createDefaultAuthority?: boolean;
  readonly hasAuthority?: boolean;
  readonly trustBundle?: object;
}

/** A standby, in a cluster whose root is `first`. */
export async function standby(
  t: TestContext,
  { createDefaultAuthority = false, hasAuthority = true, trustBundle }: StandbyOptions = {},
) {
  // Registered first, so that a request that a test delays cannot prevent the replica from stopping.
  const gate = Promise.withResolvers<void>();
  t.after(() => gate.resolve());
  const api = new MemoryApi();
  await api.create(namespaces, { metadata: { name: rootRef.namespace } });
  if (hasAuthority) {
    await api.create(authorities, {
      metadata: { name: 'default' },
      spec: { ...authority().spec, trustBundle },
    } as never);
  }
  await api.create(secrets, { metadata: rootRef, type: 'kubernetes.io/tls', data: dataOf(first) });
  const memory = new MemoryClient(api);
  /** Controllers and keys, in the order of their reconciles. */
  const reconciled: string[] = [];
  const operator = new Operator({
    client: memory.client,
    namespace: rootRef.namespace,
    identity: 'replica',
    workers: 4,
    rsaKeyWorkers: 1,
    initialAuthorities: [],
    createDefaultAuthority,
    log: silentLog,
    now: () => new Date(),
    observer: {
      onReconcile: (controller, { key }) => reconciled.push(`${controller} ${key}`),
      onIssued: () => undefined,
      onPodCertificateIssued: () => undefined,
      onPodCertificateDenied: () => undefined,
      onReflectorError: () => undefined,
      onListed: () => undefined,
    },
  });
  const stop = new AbortController();
  const kept = operator.cache(stop.signal);
  /** Ends the process. Resolves when it has ended. */
  const end = (): Promise<void> => {
    stop.abort();
    return kept;
  };
  /** Ends the terms that the test has begun. The process waits for the events of a term only after the term has ended. */
  const abandonTerms: (() => Promise<void>)[] = [];
  t.after(async () => {
    memory.onRequest = () => Promise.resolve();
    for (const abandonTerm of abandonTerms) await abandonTerm();
    await end();
  });
  await operator.synced;
  await memory.settled();
  const replaceRoot = async (signer: TestIssuer): Promise<void> => {
    await api.byHand(() => api.mergePatch(secrets, rootRef, { data: dataOf(signer) }));
    await memory.deliver();
  };
  /** The signing root in the state of this replica. */
  const knownRoot = (): string | undefined => {
    const view = operator.authorityStates.get('default');
    return view.state === 'ready' ? view.issuer.fingerprint : undefined;
  };
  /** Creates this number of resources, and delivers them. */
  const deliverCertificates = async (count: number): Promise<void> => {
    const { spec } = certificate().record;
    for (let i = 0; i < count; i += 1) {
      const metadata = { namespace: rootRef.namespace, name: `one-${i}` };
      await api.byHand(() => api.create(certificates, { metadata, spec } as never));
    }
    await memory.deliver();
  };
  const changeAuthority = async (spec: object): Promise<void> => {
    await api.patchByHand(authorities, { name: 'default' }, { spec });
    await memory.deliver();
  };
  return {
    api,
    memory,
    operator,
    gate,
    reconciled,
    abandonTerms,
    end,
    replaceRoot,
    knownRoot,
    deliverCertificates,
    changeAuthority,
  };
}

/**

 * Lets pending callbacks run. Work in other threads (keys, signatures) may take longer: a test that needs its result
 * waits with {@link until}.
 */
export const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 50; turn += 1) await setImmediate();
};

/** Lets pending callbacks run until `claim` does not throw. Fails with its error after 30 s; uses no timer. */
export const until = async (claim: () => void): Promise<void> => {
  const deadline = performance.now() + 30_000;
  for (;;) {
    try {
      return claim();
    } catch (error) {
      if (performance.now() >= deadline) throw error;
      await setImmediate();
    }
  }
};

/** A leader, with a term that lasts until the test ends it. */
export async function leading(t: TestContext, options: StandbyOptions = {}) {
  const standing = await standby(t, options);
  const [leadership, lost] = [new AbortController(), new AbortController()];
  const ended = standing.operator.lead(leadership.signal, lost.signal);
  await until(() => assert.ok(standing.operator.term));
  const endTerm = (): Promise<void> => {
    leadership.abort();
    return ended;
  };
  standing.abandonTerms.push(() => {
    lost.abort();
    return endTerm();
  });
  return { ...standing, endTerm, lose: () => lost.abort() };
}
