import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { labels, rotationKeys, secretKeys } from '../../../../src/api/constants.ts';
import { revocationState } from '../../../../src/controllers/objects/root-crl.ts';
import { dataText } from '../../../../src/controllers/objects/secret-data.ts';
import { isKubeError, type Secret, secrets } from '../../../../src/kube/index.ts';
import { type Certificate, encodeCertificates, isCrlOf, parseCertificates } from '../../../../src/pki/index.ts';
import type { AuthorityStep } from '../../../../src/plan/index.ts';
import { intermediate, renewed, root } from '../../../support/fixtures/roots.ts';
import { base64 } from '../../../support/fixtures/secret.ts';
import { days } from '../../../support/fixtures/times.ts';
import { AuthorityProcess, createRoot, differences, patchRoot } from '../world/authority-process.ts';

const never = new AbortController().signal;
const other = root({ name: 'Other' });

type Act = (process: AuthorityProcess) => Promise<unknown>;
type Given = (t: TestContext) => Promise<AuthorityProcess>;

const begun =
  (act: Act = async () => undefined): Given =>
  async (t) => {
    const process = await AuthorityProcess.begin(t);
    await act(process);
    return process;
  };
/** The operator has created a root, and status names it. */
const created = (act: Act): Given =>
  begun(async (process) => {
    await process.settle();
    await act(process);
  });
/** A rotation has started, and status names its new root. */
const rotating = (act: Act = async () => undefined): Given =>
  created(async (process) => {
    await process.annotate('rotateRoot', 'now');
    await process.settle();
    await act(process);
  });

const abort: Act = (process) => process.annotate('abortRotation', process.status().rotation?.id ?? '');

/** A CA in the root Secret: the slot that holds its certificate, or `other`. */
type Slot = 'tls' | keyof typeof rotationKeys | 'other';

interface Row {
  readonly given: Given;
  readonly step: AuthorityStep['step'];
  /** See differences. All other data stays unchanged. */
  readonly data: readonly string[];
  readonly marks?: readonly string[];
  /** The roots in ca.crt, and the CAs of the CRLs in ca.crl, in order. */
  readonly trusts: readonly Slot[];
  readonly lists: readonly Slot[];
  readonly events: readonly string[];
}

const crlChanged = ['ca.crl changed', 'revoked.json changed'];
const rotation = 'mtls-operator.io/rotation';
const newSecret = ['ca.crl new', 'ca.crt new', 'revoked.json new', 'tls.crt new', 'tls.key new'];
const nextSigns = ['tls.crt from next.crt', 'tls.key from next.key', 'next.crt gone', 'next.key gone'];
const activeKept = ['previous.crt from tls.crt', 'previous.key from tls.key'];
const ends = ['mtls-operator.io/ended-rotation new', `${rotation} gone`];

/** Every step of an authority, with the changes of its one write to the root Secret. */
const rows: Record<string, Row> = {
  'a root is created because there is none': {
    given: begun(),
    step: 'create',
    data: newSecret,
    trusts: ['tls'],
    lists: ['tls'],
    events: ['RootCreated'],
  },
  'a new root answers an earlier request to rotate the root': {
    given: begun((process) => process.annotate('rotateRoot', 'now')),
    step: 'create',
    data: newSecret,
    marks: ['mtls-operator.io/rotate-root new'],
    trusts: ['tls'],
    lists: ['tls'],
    events: ['RootCreated'],
  },
  'a root is created after the last one was deleted, and the last one stays trusted': {
    given: created((process) => process.removeRoot()),
    step: 'create',
    data: newSecret,
    trusts: ['tls', 'other'],
    lists: ['tls', 'other'],
    events: ['RootCreated'],
  },
  'the roots that were trusted before a renewal are written back to ca.crt': {
    given: created(async (process) => {
      const both = encodeCertificates([process.root().certificate, other.certificate]);
      await process.changeRoot({ data: { [secretKeys.bundle]: base64(both) } });
      await process.settle();
      await process.putRoot('active', renewed(process.root()), { [secretKeys.bundle]: null });
    }),
    step: 'remember',
    data: ['ca.crt new'],
    trusts: ['tls', 'other'],
    lists: ['tls'],
    events: ['RootReplaced'],
  },
  'a rotation starts on request': {
    given: created((process) => process.annotate('rotateRoot', 'now')),
    step: 'rotate',
    data: [...crlChanged, 'ca.crt changed', 'next.crt new', 'next.key new'],
    marks: ['mtls-operator.io/rotate-root new', `${rotation} new`],
    trusts: ['tls', 'next'],
    lists: ['tls', 'next'],
    events: ['RotationStarted'],
  },
  'a rotation starts with the root that a user wrote to next.crt': {
    given: created((process) => process.putRoot('next', other)),
    step: 'rotate',
    data: [...crlChanged, 'ca.crt changed'],
    marks: [`${rotation} new`],
    trusts: ['tls', 'next'],
    lists: ['tls', 'next'],
    events: ['RotationStarted'],
  },
  'the new root starts to sign': {
    given: rotating(),
    step: 'rotate',
    data: ['ca.crl changed', ...nextSigns, ...activeKept],
    marks: [`${rotation} changed`],
    trusts: ['previous', 'tls'],
    lists: ['tls', 'previous'],
    events: ['RotationSwitching'],
  },
  'every certificate has switched': {
    given: rotating((process) => process.carryOut()),
    step: 'rotate',
    data: ['ca.crt changed'],
    marks: [`${rotation} changed`],
    trusts: ['tls', 'previous'],
    lists: ['tls', 'previous'],
    events: ['RotationDraining'],
  },
  'the old root is removed from the bundle': {
    given: rotating((process) => process.settle()),
    step: 'rotate',
    data: [...crlChanged, 'ca.crt from tls.crt'],
    marks: [`${rotation} changed`],
    trusts: ['tls'],
    lists: ['tls'],
    events: ['RotationRetiring'],
  },
  'the key of the old root is deleted after the rotation': {
    given: rotating(async (process) => {
      await process.settle();
      await process.carryOut();
    }),
    step: 'rotate',
    data: ['previous.crt gone', 'previous.key gone'],
    marks: ends,
    trusts: ['tls'],
    lists: ['tls'],
    events: ['RotationCompleted'],
  },
  'the new root is dropped because the rotation is aborted before it signs': {
    given: rotating(abort),
    step: 'rotate',
    data: [...crlChanged, 'ca.crt from tls.crt', 'next.crt gone', 'next.key gone'],
    marks: ends,
    trusts: ['tls'],
    lists: ['tls'],
    events: ['RotationAborted'],
  },
  'the old root signs again because the rotation is aborted after the switch': {
    given: rotating(async (process) => {
      await process.carryOut();
      await abort(process);
    }),
    step: 'rotate',
    data: ['ca.crl changed', 'ca.crt changed', 'tls.crt from previous.crt', 'tls.key from previous.key', ...activeKept],
    marks: [`${rotation} changed`],
    trusts: ['previous', 'tls'],
    lists: ['tls', 'previous'],
    events: ['RotationAborting'],
  },
  'a rotation ends because a user removes its new root': {
    given: rotating((process) => process.putRoot('next', null)),
    step: 'rotate',
    data: [...crlChanged, 'ca.crt from tls.crt'],
    marks: ends,
    trusts: ['tls'],
    lists: ['tls'],
    events: ['RotationWithdrawn'],
  },
  'another root has overwritten the one that signs': {
    given: created((process) => process.putRoot('active', other)),
    step: 'rotate',
    data: [...crlChanged, 'ca.crt changed'],
    marks: [`${rotation} new`],
    trusts: ['tls', 'other'],
    lists: ['tls', 'other'],
    events: ['RootReplaced'],
  },
  'an expired root gets a successor at once': {
    given: created(async (process) => {
      process.nowMs += days(3651);
    }),
    step: 'rotate',
    data: [...crlChanged, 'ca.crt changed', 'tls.crt changed', 'tls.key changed', ...activeKept],
    marks: [`${rotation} new`],
    trusts: ['previous', 'tls'],
    lists: ['tls', 'previous'],
    events: ['RotationStarted'],
  },
  'an intermediate of the same root signs at once': {
    given: created((process) => process.putRoot('next', intermediate(process.root()))),
    step: 'rotate',
    data: [...crlChanged, ...nextSigns, ...activeKept],
    trusts: ['previous'],
    lists: ['tls', 'previous'],
    events: ['IssuerReplaced'],
  },
  'the key of a replaced issuer is deleted': {
    given: created(async (process) => {
      await process.putRoot('next', intermediate(process.root()));
      await process.carryOut();
    }),
    step: 'rotate',
    data: ['previous.crt gone', 'previous.key gone'],
    trusts: ['other'],
    lists: ['tls', 'other'],
    events: ['IssuerRetired'],
  },
  'a certificate is revoked': {
    given: created((process) => process.addRevoked('payments')),
    step: 'signCrls',
    data: crlChanged,
    trusts: ['tls'],
    lists: ['tls'],
    events: ['CertificatesRevoked'],
  },
  'a CRL is signed again before it expires': {
    given: created(async (process) => {
      process.nowMs += days(11);
    }),
    step: 'signCrls',
    data: ['ca.crl changed'],
    trusts: ['tls'],
    lists: ['tls'],
    events: [],
  },
  'nothing is written in steady state': {
    given: created(async () => undefined),
    step: 'keep',
    data: [],
    trusts: ['tls'],
    lists: ['tls'],
    events: [],
  },
};

/** Returns the slot that holds a CA of a root Secret. */
function slotsOf(secret: Secret): (is: (ca: Certificate) => boolean) => Slot {
  const keys = { tls: secretKeys, ...rotationKeys };
  const cas = Object.entries(keys).map(
    ([slot, { certificate }]) => [slot as Slot, parseCertificates(dataText(secret, certificate))[0]] as const,
  );
  return (is) => cas.find(([, ca]) => ca !== undefined && is(ca))?.[0] ?? 'other';
}

for (const [title, { given, step, data, marks = [], trusts, lists, events }] of Object.entries(rows)) {
  test(title, async (t) => {
    const process = await given(t);
    const before = process.secret();
    process.events.length = 0;
    process.logged.length = 0;
    assert.equal(await process.carryOut(), step);
    const after = process.secret() ?? assert.fail();
    assert.deepEqual(differences(before?.data, after.data), [...data].sort());
    assert.deepEqual(differences(before?.metadata.annotations, after.metadata.annotations), [...marks].sort());
    assert.deepEqual(
      process.events.map(({ reason }) => reason),
      events,
    );
    const logged = step === 'signCrls' ? [] : events;
    assert.deepEqual(
      process.logged.map(({ reason }) => reason),
      logged,
    );
    if (step === 'rotate') {
      const marked = after.metadata.annotations ?? {};
      const state = JSON.parse(marked[rotation] ?? '{}') as { id?: string; phase?: string };
      const id = state.id ?? marked['mtls-operator.io/ended-rotation'];
      assert.deepEqual(
        process.logged.map((line) => [line['authority'], line['rotation'], line['phase']]),
        [['default', id, state.phase]],
      );
    }
    const slotOf = slotsOf(after);
    const roots = parseCertificates(dataText(after, secretKeys.bundle));
    assert.deepEqual(
      roots.map(({ fingerprint }) => slotOf((ca) => ca.fingerprint === fingerprint)),
      trusts,
    );
    const { crls } = revocationState(after);
    assert.deepEqual(
      crls.map((crl) => slotOf((ca) => isCrlOf(crl, ca))),
      lists,
    );
  });
}

test('a root Secret that the operator creates has its labels', async (t) => {
  const process = await AuthorityProcess.created(t);
  const { type, metadata } = process.secret() ?? assert.fail();
  assert.deepEqual([type, metadata.labels], ['kubernetes.io/tls', { [labels.managedBy]: 'mtls-operator' }]);
});

/** A change by another client between the observation and the write. */
const interferences: Record<string, Act> = {
  'was changed': (process) => process.changeRoot({ metadata: { labels: { theirs: 'x' } } }),
  'got another root': (process) => process.putRoot('active', root({ name: 'Theirs' })),
  'was deleted': (process) => process.removeRoot(),
  'was deleted and created again': async (process) => {
    const found = process.secret() ?? assert.fail();
    await process.removeRoot();
    await process.api.byHand(() => process.api.create(secrets, found));
  },
};

// If one fails: the operator overwrites a root, and its certificates fail at every peer.
describe('nothing is overwritten and no event is sent', () => {
  for (const [title, { given, step }] of Object.entries(rows)) {
    if (step === 'create' || step === 'keep') continue;
    for (const [happened, interfere] of Object.entries(interferences)) {
      test(`when ${title} and the Secret ${happened} meanwhile`, async (t) => {
        const process = await given(t);
        const { observation, step: planned } = await process.plan();
        await interfere(process);
        process.events.length = 0;
        const before = process.secret();
        const carriedOut = process.writer.carryOut(observation, planned, never);
        if (before === undefined) await assert.rejects(carriedOut, (error) => isKubeError(error, 'NotFound'));
        else await carriedOut;
        assert.deepEqual([process.secret(), process.events], [before, []]);
      });
    }
  }

  test('when a root is created but another replica has created one meanwhile', async (t) => {
    const process = await AuthorityProcess.begin(t);
    const { observation, step } = await process.plan();
    await process.putRoot('active', other);
    const before = process.secret();
    await process.writer.carryOut(observation, step, never);
    assert.deepEqual([process.secret(), process.events], [before, []]);
  });

  for (const [request, given] of [
    [createRoot, begun()],
    [patchRoot, rotating()],
  ] as const) {
    test(`when the API server refuses ${request}: the controller retries`, async (t) => {
      const process = await given(t);
      const before = process.secret();
      process.events.length = 0;
      process.refuse(request);
      await assert.rejects(process.carryOut(), (error) => isKubeError(error, 'Forbidden'));
      assert.deepEqual([process.secret(), process.events], [before, []]);
    });
  }
});
