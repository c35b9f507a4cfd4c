import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { annotations, crlKey, revocationsKey, rotationKeys, secretKeys } from '../../../../src/api/constants.ts';
import { isKubeError, secrets } from '../../../../src/kube/index.ts';
import { encodePodLeaves, type PodLeaves, parsePodLeaves, recordedUntil } from '../../../../src/plan/index.ts';
import { intermediate, issuerIdOf, root, rootIdOf } from '../../../support/fixtures/roots.ts';
import { days, hours, later, minutes, now } from '../../../support/fixtures/times.ts';
import { AuthorityProcess, createRoot, patchRoot, readRoot, writeStatus } from '../world/authority-process.ts';

const other = root({ name: 'Other' });
/** Before a step that could break connections, the objects are read from the API server and the step is planned again. */
const proof = ['list secrets by label', 'list configmaps by label', 'list clustertrustbundles by label', readRoot];

const eventsOf = ({ events }: AuthorityProcess) => events.map(({ type, reason }) => `${type} ${reason}`);
const count = ({ requests }: AuthorityProcess, wanted: string) => requests.filter((one) => one === wanted).length;
const noRoot = { root: null };

type Act = (process: AuthorityProcess) => Promise<unknown>;

/** The signer of certificates for pods needs a record. */
const askFor = (process: AuthorityProcess, notAfter: Date): void =>
  process.podLeafRequests.request('default', rootIdOf(process.root()), notAfter);
/** The record of another root. */
const lapsed = (until: Date): PodLeaves => ({ roots: new Map([[rootIdOf(other), until]]), issuers: new Map() });

/** A rotation has started, and status names its new root. */
const rotate: Act = async (process) => {
  await process.annotate('rotateRoot', 'now');
  await process.settle();
};

/** The new root signs, a Secret is missing, and a user writes a third root to next.crt. */
const putNextIntoRotation: Act = async (process) => {
  await rotate(process);
  await process.settle();
  await process.addCertificate('payments');
  await process.putRoot('next', other);
};

interface Row {
  /** The state before the reconcile. Default: the operator has created a root, and status names it. */
  readonly isFirst?: true;
  readonly given?: Act;
  readonly requests: readonly string[];
  /** The changes that the reconciler reports to certificates and bundles. */
  readonly changes: readonly string[];
  readonly events: readonly string[];
  readonly ready: string;
  readonly rotating?: string;
  readonly requeueAfterMs: number;
}

const rows: Record<string, Row> = {
  'without a root creates one': {
    isFirst: true,
    requests: [readRoot, createRoot, readRoot, writeStatus],
    changes: ['whole'],
    events: ['Normal RootCreated'],
    ready: 'Ready',
    requeueAfterMs: days(10),
  },
  'in steady state costs one read': {
    requests: [readRoot],
    changes: [],
    events: [],
    ready: 'Ready',
    requeueAfterMs: days(10),
  },
  'without `spec.root` waits for its root Secret': {
    isFirst: true,
    given: (process) => process.changeSpec(noRoot),
    requests: [readRoot, writeStatus],
    changes: ['whole'],
    events: ['Warning RootMissing'],
    ready: 'RootMissing',
    requeueAfterMs: minutes(10),
  },
  'that still waits for its root reports it only once': {
    isFirst: true,
    given: async (process) => {
      await process.changeSpec(noRoot);
      await process.settle();
    },
    requests: [readRoot],
    changes: [],
    events: [],
    ready: 'RootMissing',
    requeueAfterMs: minutes(10),
  },
  'that is being deleted gets no root': {
    isFirst: true,
    given: async (process) => {
      await process.change({ metadata: { finalizers: ['example.com/held'] } });
      await process.remove();
    },
    requests: [readRoot, writeStatus],
    changes: ['whole'],
    events: ['Warning RootMissing'],
    ready: 'RootMissing',
    requeueAfterMs: minutes(10),
  },
  'whose root becomes invalid stops signing': {
    given: (process) => process.changeRoot({ data: { [secretKeys.certificate]: 'eA==' } }),
    requests: [readRoot, writeStatus],
    changes: ['whole'],
    events: ['Warning RootMalformed'],
    ready: 'RootMalformed',
    requeueAfterMs: minutes(10),
  },
  'whose root is not valid yet is reconciled every minute': {
    isFirst: true,
    given: (process) => process.putRoot('active', root({ at: new Date(now.getTime() + days(1)) })),
    requests: [readRoot, writeStatus],
    changes: ['whole'],
    events: ['Warning RootNotYetValid'],
    ready: 'RootNotYetValid',
    requeueAfterMs: minutes(1),
  },
  'whose root is repaired signs again': {
    isFirst: true,
    given: async (process) => {
      await process.changeSpec(noRoot);
      await process.settle();
      await process.putRoot('active', other);
    },
    requests: [readRoot, patchRoot, readRoot, writeStatus],
    changes: ['whole'],
    events: [],
    ready: 'Ready',
    requeueAfterMs: days(10),
  },
  'starts a rotation, and waits until status names the new root': {
    given: (process) => process.annotate('rotateRoot', 'now'),
    requests: [readRoot, patchRoot, readRoot, writeStatus],
    changes: ['whole'],
    events: ['Normal RotationStarted'],
    ready: 'Ready',
    rotating: 'Distributing',
    requeueAfterMs: 1000,
  },
  'carries out all steps of a rotation that are possible now, each after a live read': {
    given: rotate,
    requests: [readRoot, ...proof, patchRoot, readRoot, ...proof, patchRoot, readRoot, writeStatus],
    changes: ['whole'],
    events: ['Normal RotationSwitching', 'Normal RotationDraining'],
    ready: 'Ready',
    rotating: 'Draining',
    requeueAfterMs: 1000,
  },
  'ends a rotation': {
    given: async (process) => {
      await rotate(process);
      await process.settle();
    },
    requests: [readRoot, ...proof, patchRoot, readRoot, ...proof, patchRoot, readRoot, writeStatus],
    changes: ['whole'],
    events: ['Normal RotationRetiring', 'Normal RotationCompleted'],
    ready: 'Ready',
    rotating: 'RotationCompleted',
    requeueAfterMs: days(10),
  },
  'aborts a rotation without a live read': {
    given: async (process) => {
      await rotate(process);
      await process.annotate('abortRotation', process.status().rotation?.id ?? '');
    },
    requests: [readRoot, patchRoot, readRoot, writeStatus],
    changes: ['whole'],
    events: ['Normal RotationAborted'],
    ready: 'Ready',
    rotating: 'RotationAborted',
    requeueAfterMs: days(10),
  },
  'reports that the next root waits for the end of a rotation': {
    given: putNextIntoRotation,
    requests: [readRoot, writeStatus],
    changes: [],
    events: ['Normal NextRootWaits'],
    ready: 'Ready',
    rotating: 'Draining',
    requeueAfterMs: 1000,
  },
  'reports only once that the next root waits': {
    given: async (process) => {
      await putNextIntoRotation(process);
      await process.settle();
    },
    requests: [readRoot],
    changes: [],
    events: [],
    ready: 'Ready',
    rotating: 'Draining',
    requeueAfterMs: 1000,
  },
  'that cannot start a rotation reports why': {
    given: async (process) => {
      await process.changeSpec(noRoot);
      await process.annotate('rotateRoot', 'now');
    },
    requests: [readRoot, writeStatus],
    changes: [],
    events: ['Warning NextRootMissing'],
    ready: 'Ready',
    rotating: 'NextRootMissing',
    requeueAfterMs: minutes(10),
  },
  'whose root was overwritten distributes the new one': {
    given: async (process) => {
      await process.addCertificate('payments');
      await process.putRoot('active', other);
    },
    requests: [readRoot, patchRoot, readRoot, writeStatus],
    changes: ['whole'],
    events: ['Normal RootReplaced'],
    ready: 'Ready',
    rotating: 'Distributing',
    requeueAfterMs: 1000,
  },
  'keeps the replaced issuer for a while': {
    given: async (process) => {
      await process.addRevoked('payments');
      await process.settle();
      await process.putRoot('next', intermediate(process.root()));
    },
    requests: [readRoot, patchRoot, readRoot, writeStatus],
    changes: ['whole'],
    events: ['Normal IssuerReplaced'],
    ready: 'Ready',
    requeueAfterMs: 30_000,
  },
  'revokes a certificate, and reports that only the CRL changed': {
    given: (process) => process.addRevoked('payments'),
    requests: [readRoot, patchRoot, readRoot, writeStatus],
    changes: ['crl'],
    events: ['Normal CertificatesRevoked'],
    ready: 'Ready',
    requeueAfterMs: days(10),
  },
  'signs its CRL again ten days later': {
    given: async (process) => {
      process.nowMs += days(10);
    },
    requests: [readRoot, patchRoot, readRoot, writeStatus],
    changes: ['crl'],
    events: [],
    ready: 'Ready',
    requeueAfterMs: days(10),
  },
  'records how long a certificate for a pod will be valid, in the root Secret and then in status': {
    given: async (process) => askFor(process, later(hours(24))),
    requests: [readRoot, patchRoot, readRoot, writeStatus],
    changes: [],
    events: [],
    ready: 'Ready',
    requeueAfterMs: days(10),
  },
  'reports to pods only that both records have it': {
    given: async (process) => {
      askFor(process, later(hours(24)));
      await process.settle();
    },
    requests: [readRoot],
    changes: ['podLeaves'],
    events: [],
    ready: 'Ready',
    requeueAfterMs: days(10),
  },
  'records nothing for a certificate that is valid no longer than the record says': {
    given: async (process) => {
      askFor(process, later(hours(24) + 1));
      await process.settle();
      await process.settle();
      askFor(process, later(hours(24) + minutes(10)));
    },
    requests: [readRoot],
    changes: [],
    events: [],
    ready: 'Ready',
    requeueAfterMs: days(10),
  },
  'records nothing for a root that does not sign': {
    given: async (process) => process.podLeafRequests.request('default', rootIdOf(other), later(hours(24))),
    requests: [readRoot],
    changes: [],
    events: [],
    ready: 'Ready',
    requeueAfterMs: days(10),
  },
  'counts a new certificate in its status': {
    given: (process) => process.addCertificate('payments'),
    requests: [readRoot, writeStatus],
    changes: [],
    events: [],
    ready: 'Ready',
    requeueAfterMs: days(10),
  },
};

describe('the record of certificates for pods', () => {
  const recorded = (process: AuthorityProcess) =>
    parsePodLeaves(process.secret()?.metadata.annotations?.[annotations.podCertificates]);
  const signs = (process: AuthorityProcess) => {
    const state = process.replica.authorityStates.get('default');
    return state.state === 'ready' ? recordedUntil(state.podLeaves, rootIdOf(process.root())) : undefined;
  };

  test('is in the root Secret and in status before the operator may sign, for the root and for the key that signs', async (t) => {
    const process = await AuthorityProcess.created(t);
    assert.equal(signs(process), undefined);
    askFor(process, later(hours(24) + 1));
    for (const write of [patchRoot, writeStatus])
      process.before(write, async () => assert.equal(signs(process), undefined));
    await process.settle();
    await process.settle();
    const until = later(hours(24) + minutes(10));
    const root = process.root();
    assert.deepEqual(recorded(process), {
      roots: new Map([[rootIdOf(root), until]]),
      issuers: new Map([[issuerIdOf(root), until]]),
    });
    assert.deepEqual(signs(process), until);
    const { fingerprint } = root.certificate;
    assert.deepEqual(process.status().podCertificates?.roots, [{ fingerprint, notAfter: '2026-03-02T12:10:00Z' }]);
    assert.equal(process.podLeafRequests.of('default'), undefined);
  });

  test('stays unwritten, and the request waits, while the API server refuses the write', async (t) => {
    const process = await AuthorityProcess.created(t);
    askFor(process, later(hours(24)));
    process.refuse(patchRoot, 'ServerError');
    await process.deliver();
    await assert.rejects(process.reconcile(), (error) => isKubeError(error, 'ServerError'));
    assert.equal(signs(process), undefined);
    await process.settle();
    await process.settle();
    assert.deepEqual(signs(process), later(hours(24)));
  });

  test('loses the roots that are over with its next write, and never grows shorter', async (t) => {
    const process = await AuthorityProcess.created(t);
    askFor(process, later(hours(2)));
    await process.settle();
    await process.settle();
    askFor(process, later(hours(1)));
    await process.settle();
    assert.deepEqual(signs(process), later(hours(2)));
    await process.changeRoot({
      metadata: { annotations: { [annotations.podCertificates]: encodePodLeaves(lapsed(later(hours(1)))) } },
    });
    await process.settle();
    process.nowMs += hours(1.5);
    askFor(process, later(hours(3)));
    await process.settle();
    assert.deepEqual([...recorded(process).roots.keys()], [rootIdOf(process.root())]);
  });

  test('is written again when another client has removed it', async (t) => {
    const process = await AuthorityProcess.created(t);
    askFor(process, later(hours(2)));
    await process.settle();
    await process.changeRoot({ metadata: { annotations: { [annotations.podCertificates]: null } } });
    await process.settle();
    assert.deepEqual(recorded(process).roots.get(rootIdOf(process.root())), later(hours(2)));
  });

  test('is known by a process that takes over when another client has overwritten the root Secret', async (t) => {
    const process = await AuthorityProcess.created(t);
    const first = process.root();
    askFor(process, later(hours(2)));
    await process.settle();
    await process.removeRoot();
    await process.putRoot('active', other);
    const successor = await AuthorityProcess.begin(t, process.api);
    await successor.settle();
    assert.equal(successor.status().rotation?.phase, 'Distributing', 'a pod with the old root refuses the new one');
    await successor.settle();
    assert.deepEqual(recorded(successor).roots, new Map([[rootIdOf(first), later(hours(2))]]));
    successor.nowMs += hours(2) - 1;
    await successor.settle();
    assert.equal(successor.status().rotation?.phase, 'Draining', 'a pod may present a certificate of the old root');
  });

  test('keeps the old root until its certificates in pods have expired, and is read every half minute', async (t) => {
    const process = await AuthorityProcess.created(t);
    askFor(process, later(hours(24)));
    await process.settle();
    await process.settle();
    await rotate(process);
    const phases = async (settles: number) => {
      for (let n = 0; n < settles; n += 1) await process.settle();
      return process.status().rotation?.phase;
    };
    assert.equal(await phases(3), 'Draining');
    process.nowMs += minutes(4);
    const result = await process.settle();
    assert.equal(result?.requeueAt.getTime(), process.nowMs + 30_000);
    assert.match(
      process.status().rotation?.blockers?.[0] ?? '',
      /^the certificates that the old root has issued to pods to expire: until 2026-03-02T12:00:00Z \(to skip the phase Draining: kubectl annotate /,
    );
    process.nowMs = later(hours(24) - 1).getTime();
    assert.equal(await phases(1), 'Draining');
    process.nowMs += 1;
    assert.equal(await phases(2), undefined);
  });

  test('keeps the key of a replaced intermediate, whose CRL pods read', async (t) => {
    const process = await AuthorityProcess.created(t);
    const anchor = process.root();
    await process.putRoot('active', intermediate(anchor));
    await process.settle();
    askFor(process, later(hours(24)));
    await process.settle();
    await process.putRoot('next', intermediate(anchor));
    const isKept = async () => {
      await process.settle();
      await process.settle();
      return process.secret()?.data?.[rotationKeys.previous.privateKey] !== undefined;
    };
    process.nowMs += hours(23);
    assert.equal(await isKept(), true);
    process.nowMs += hours(1);
    assert.equal(await isKept(), false);
  });

  test('names an intermediate as soon as it signs: its CRL has to stay fresh', async (t) => {
    const process = await AuthorityProcess.created(t);
    askFor(process, later(hours(2)));
    await process.settle();
    const first = process.root();
    await process.putRoot('next', intermediate(first));
    await process.settle();
    const second = process.root();
    assert.notEqual(issuerIdOf(second), issuerIdOf(first));
    assert.deepEqual([...recorded(process).issuers.keys()].sort(), [issuerIdOf(first), issuerIdOf(second)].sort());
  });
});

describe('an authority', () => {
  for (const [
    title,
    { isFirst = false, given, requests, changes, events, ready, rotating, requeueAfterMs },
  ] of Object.entries(rows)) {
    test(title, async (t) => {
      const process = await (isFirst ? AuthorityProcess.begin(t) : AuthorityProcess.created(t));
      await given?.(process);
      const result = await process.settle();
      assert.deepEqual(process.requests, requests);
      assert.deepEqual(process.changes, changes);
      assert.deepEqual(eventsOf(process), events);
      assert.deepEqual([process.reason('Ready'), process.reason('Rotating')], [ready, rotating]);
      assert.equal((result?.requeueAt.getTime() ?? 0) - process.nowMs, requeueAfterMs);
    });
  }
});

describe('a step that requires a live read', () => {
  /** The new root is distributed. In the caches, a resource has no Secret yet. */
  const distributed = async (t: TestContext) => {
    const process = await AuthorityProcess.created(t);
    const issued = await process.addResource('payments');
    await rotate(process);
    return { process, issued };
  };

  // If this fails: the new root signs before a peer trusts it.
  test('is not carried out when the API server has a Secret that the watch has not delivered', async (t) => {
    const { process, issued } = await distributed(t);
    await process.api.byHand(() => process.api.create(secrets, issued.secret('server')));
    await process.reconcile();
    const reads = ['list secrets by label', 'find secrets payments-server-tls', ...proof.slice(1)];
    assert.deepEqual(process.requests, [readRoot, ...reads, writeStatus]);
    assert.match(process.status().rotation?.blockers?.[0] ?? '', /^1 of 1 Secrets to hold the new root/);
  });

  test('is not carried out when the API server does not answer', async (t) => {
    const { process } = await distributed(t);
    const before = process.secret();
    process.refuse(proof[0] ?? '', 'Network');
    await assert.rejects(process.reconcile(), (error) => isKubeError(error, 'Network'));
    assert.deepEqual([process.requests, process.secret()], [[readRoot, proof[0]], before]);
  });
});

describe('when another client changes the root Secret before the operator writes it,', () => {
  const label = (process: AuthorityProcess, n: number) =>
    process.changeRoot({ metadata: { labels: { theirs: String(n) } } });

  test('the Secret is observed again, and the step is carried out once', async (t) => {
    const process = await AuthorityProcess.created(t);
    await process.annotate('rotateRoot', 'now');
    process.before(patchRoot, () => label(process, 1));
    await process.settle();
    assert.deepEqual(process.requests, [readRoot, patchRoot, readRoot, patchRoot, readRoot, writeStatus]);
    assert.deepEqual(eventsOf(process), ['Normal RotationStarted']);
    assert.equal(process.secret()?.metadata.labels?.['theirs'], '1');
  });

  test('the step is planned again', async (t) => {
    const process = await AuthorityProcess.created(t);
    await process.annotate('rotateRoot', 'now');
    process.before(patchRoot, () => process.putRoot('active', other));
    await process.settle();
    assert.deepEqual(eventsOf(process), ['Normal RootReplaced', 'Normal RotationDraining']);
    assert.equal(process.signsWith(), other.certificate.fingerprint);
  });

  test('a root that another replica created is used unchanged', async (t) => {
    const process = await AuthorityProcess.begin(t);
    process.before(createRoot, () => process.putRoot('active', other));
    await process.settle();
    assert.deepEqual(eventsOf(process), []);
    assert.equal(process.signsWith(), other.certificate.fingerprint);
  });

  test('the reconcile fails after six attempts, and the controller retries it later', async (t) => {
    const process = await AuthorityProcess.created(t);
    await process.annotate('rotateRoot', 'now');
    for (let n = 1; n <= 10; n += 1) process.before(patchRoot, () => label(process, n));
    await process.deliver();
    await assert.rejects(process.reconcile(), (error) => isKubeError(error, 'Conflict'));
    assert.equal(count(process, patchRoot), 6);
    assert.deepEqual([process.changes, process.events, count(process, writeStatus)], [[], [], 0]);
  });

  test('and deletes it, the next reconcile creates it again', async (t) => {
    const process = await AuthorityProcess.created(t);
    await process.annotate('rotateRoot', 'now');
    process.before(patchRoot, () => process.removeRoot());
    await process.deliver();
    await assert.rejects(process.reconcile(), (error) => isKubeError(error, 'NotFound'));
    await process.settle();
    assert.equal(eventsOf(process)[0], 'Normal RootCreated');
  });
});

describe('a reconcile that fails', () => {
  for (const request of [readRoot, createRoot]) {
    test(`at ${request} reports nothing`, async (t) => {
      const process = await AuthorityProcess.begin(t);
      process.refuse(request, 'ServerError');
      await assert.rejects(process.reconcile(), (error) => isKubeError(error, 'ServerError'));
      assert.deepEqual([process.changes, process.events, process.reason()], [[], [], undefined]);
      assert.deepEqual(process.replica.authorityStates.get('default'), { state: 'unknown' });
    });
  }

  test('at the write of status has reported its decision', async (t) => {
    const process = await AuthorityProcess.begin(t);
    process.refuse(writeStatus, 'ServerError');
    await assert.rejects(process.reconcile(), (error) => isKubeError(error, 'ServerError'));
    assert.deepEqual([process.changes, eventsOf(process)], [['whole'], ['Normal RootCreated']]);
    assert.equal(process.replica.authorityStates.get('default').state, 'ready');
  });

  for (const code of ['Conflict', 'NotFound'] as const) {
    test(`at the write of status with ${code} reports a problem only after status has it`, async (t) => {
      const process = await AuthorityProcess.begin(t);
      await process.changeSpec(noRoot);
      process.refuse(writeStatus, code);
      assert.equal(await process.settle(), undefined);
      assert.deepEqual(eventsOf(process), []);
      await process.settle();
      assert.deepEqual(eventsOf(process), ['Warning RootMissing']);
    });
  }
});

test('a deleted authority is forgotten, and its deletion is reported', async (t) => {
  const process = await AuthorityProcess.created(t);
  await rotate(process);
  assert.deepEqual([...process.reconciler.rotations.keys()], ['default']);
  await process.remove();
  await process.settle();
  assert.deepEqual([process.requests, process.changes, process.events], [[], ['whole'], []]);
  assert.deepEqual([...process.reconciler.rotations.keys()], []);
  assert.deepEqual(process.replica.authorityStates.get('default'), { state: 'unknown' });
});

test('a rotation is in progress while the authority reports it', async (t) => {
  const process = await AuthorityProcess.created(t);
  const phases = async () => {
    await process.settle();
    return [...process.reconciler.rotations.values()].map(({ state }) => state.phase);
  };
  assert.deepEqual(await phases(), []);
  await process.annotate('rotateRoot', 'now');
  assert.deepEqual([await phases(), await phases(), await phases()], [['Distributing'], ['Draining'], []]);
});

test('the condition of published bundles stays when bundles are no longer requested', async (t) => {
  const process = await AuthorityProcess.created(t);
  assert.equal(process.reason('TrustPublished'), undefined);
  const configMap = { name: 'trust', namespaceSelector: {} };
  await process.changeSpec({ trustBundle: { configMap, clusterTrustBundle: false } });
  await process.settle();
  assert.equal(process.reason('TrustPublished'), 'Pending');
  await process.changeSpec({ trustBundle: null });
  await process.settle();
  assert.equal(process.reason('TrustPublished'), 'NotRequested');
});

// If one fails: a revoked certificate is accepted again.
describe('a lost CRL', () => {
  const lost = { [crlKey]: null, [revocationsKey]: null };
  const revoked = async (t: TestContext) => {
    const process = await AuthorityProcess.created(t);
    await process.addRevoked('payments');
    await process.settle();
    // The resource is deleted, and its request with it.
    await process.removeCertificate('payments');
    await process.settle();
    assert.equal(process.status().crl?.revoked, 1);
    return process;
  };

  test('is restored from the memory of the operator', async (t) => {
    const process = await revoked(t);
    await process.changeRoot({ data: lost });
    await process.settle();
    assert.equal(process.status().crl?.revoked, 1);
  });

  test('is restored if it was lost while the root was invalid', async (t) => {
    const process = await revoked(t);
    const { [secretKeys.certificate]: crt = '' } = process.secret()?.data ?? {};
    await process.changeRoot({ data: { ...lost, [secretKeys.certificate]: 'eA==' } });
    await process.settle();
    assert.equal(process.reason(), 'RootMalformed');
    await process.changeRoot({ data: { [secretKeys.certificate]: crt } });
    await process.settle();
    assert.equal(process.status().crl?.revoked, 1);
  });

  test('is restored from the CRL that was published when the operator started, even if that was overwritten later', async (t) => {
    const before = await revoked(t);
    const { data = {} } = before.secret() ?? assert.fail();
    await before.changeSpec({ trustBundle: { configMap: { name: 'trust' }, clusterTrustBundle: false } });
    await before.publish('trust', Buffer.from(data[crlKey] ?? '', 'base64').toString());
    const process = await AuthorityProcess.begin(t, before.api);
    await process.changeRoot({ data: { ...lost, [secretKeys.certificate]: 'eA==' } });
    await process.settle();
    await process.publish('trust', '');
    await process.changeRoot({ data: { [secretKeys.certificate]: data[secretKeys.certificate] } });
    await process.settle();
    assert.equal(process.status().crl?.revoked, 1);
  });
});

// If this fails: a request to revoke waits forever if its pause ended during the reconcile.
test('an authority is reconciled again for a deadline that passes between its plan and its status', async (t) => {
  // The end of the pause is moved over all the times at which the operator reads the clock.
  for (let offsetMs = -30_000; offsetMs <= 5000; offsetMs += 1000) await revokesAfterPause(t, offsetMs);
});

/** Requests a second revocation. The clock starts at this offset and advances by seconds whenever it is read. */
async function revokesAfterPause(t: TestContext, offsetMs: number): Promise<void> {
  const process = await AuthorityProcess.created(t);
  await process.addRevoked('one');
  await process.settle();
  await process.addRevoked('two');
  process.nowMs += offsetMs;
  process.stepMs = 3000;
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const result = await process.settle();
    if (process.replica.authorityStates.material('default')?.crl?.revoked.size === 2) return;
    const isSoon = result !== undefined && result.requeueAt.getTime() < now.getTime() + minutes(1);
    assert.ok(isSoon, `no requeue at ${offsetMs} ms`);
    // The queue waits until requeueAt.
    process.nowMs = Math.max(process.nowMs, result.requeueAt.getTime() - process.stepMs);
  }
  assert.fail(`the CRL never lists it at ${offsetMs} ms`);
}
