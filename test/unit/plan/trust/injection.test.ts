import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { trustBundle } from '../../../../src/pki/index.ts';
import {
  type Injections,
  type InjectionTarget,
  injectedPublications,
  injectedRoots,
  trustCondition,
} from '../../../../src/plan/index.ts';
import { authority, notReady, ready } from '../../../support/fixtures/authority.ts';
import { root } from '../../../support/fixtures/roots.ts';

const state = ready(root());
const { digest } = injectedRoots(state.bundle);

const target = (name: string, changes: Partial<InjectionTarget> = {}): InjectionTarget => ({
  kind: 'APIService',
  name,
  uid: 'u',
  authority: 'default',
  content: { isEmpty: false, bundle: digest },
  changedAtMs: 7,
  outcome: { state: 'settled' },
  ...changes,
});
const other = { content: { isEmpty: true } } as const;

const condition = (injections: Partial<Injections>, view: Parameters<typeof trustCondition>[1] = state) => {
  const scope = { servesClusterTrustBundles: undefined, injections: { targets: [], forbidden: [], ...injections } };
  const found = trustCondition(authority(), view, [], scope);
  return found && [found.status, found.reason, found.message];
};

describe('the condition of an authority without spec.trustBundle', () => {
  const rows: Readonly<Record<string, readonly [Partial<Injections>, readonly string[] | undefined]>> = {
    'is absent if no object asks for its roots': [{}, undefined],
    'is True when every object holds the roots': [
      { targets: [target('a'), target('b')] },
      ['True', 'Published', 'the roots are injected into 2 objects'],
    ],
    'counts the objects that are not written yet': [
      { targets: [target('a'), target('b', other)] },
      ['False', 'Pending', 'the roots are injected into 1 of 2 objects'],
    ],
    'names objects of another injector, sorted': [
      { targets: [target('b', { otherInjector: 'x' }), target('a', { otherInjector: 'x' })] },
      [
        'False',
        'TrustConflict',
        'the roots are not injected into APIService a, APIService b (its annotation x gives the caBundle to another program)',
      ],
    ],
    'names objects without a place for roots': [
      { targets: [target('a', { content: { obstacle: 'insecureSkipTLSVerify is true' } })] },
      [
        'False',
        'InjectionImpossible',
        'the roots cannot be injected into APIService a (insecureSkipTLSVerify is true)',
      ],
    ],
    'names contested objects, also while they hold the roots': [
      { targets: [target('a', { outcome: { state: 'contested', message: 'gitops keeps changing it' } })] },
      ['False', 'TrustContested', 'another client keeps changing APIService a (gitops keeps changing it)'],
    ],
    'names objects that cannot be written': [
      { targets: [target('a', { ...other, outcome: { state: 'failed', message: 'no right' } }), target('b')] },
      ['False', 'PublishingFailed', 'the roots cannot be injected into APIService a (no right)'],
    ],
    'names kinds that the operator may not read, next to what is injected': [
      { targets: [target('a')], forbidden: ['apiservices.apiregistration.k8s.io'] },
      [
        'False',
        'InjectionForbidden',
        'the operator runs with --inject-ca and may not get, list and watch apiservices.apiregistration.k8s.io; the roots are injected into 1 object',
      ],
    ],
  };
  for (const [title, [injections, expected]] of Object.entries(rows))
    test(title, () => assert.deepEqual(condition(injections), expected));

  test('says that the roots stay while the authority is not ready', () => {
    assert.equal(condition({ targets: [target('a')] }, notReady('RootInvalid', 'x'))?.[1], 'AuthorityNotReady');
  });
});

describe('a rotation', () => {
  test('counts each object that the operator fills, without a namespace', () => {
    assert.deepEqual(injectedPublications({ targets: [target('a')], forbidden: [] }), [
      { namespace: '', displayName: 'APIService a', bundle: digest, changedAtMs: 7 },
    ]);
  });

  const left: Readonly<Record<string, Partial<InjectionTarget>>> = {
    'of another injector': { otherInjector: 'x' },
    'without a place for roots': { content: { obstacle: 'x' } },
    'without roots that cannot be written': { ...other, outcome: { state: 'failed', message: 'x' } },
  };
  for (const [title, changes] of Object.entries(left))
    test(`leaves out an object ${title}`, () =>
      assert.deepEqual(injectedPublications({ targets: [target('a', changes)], forbidden: [] }), []));

  test('waits for a kind that the operator may not read: its objects may hold any roots', () => {
    assert.deepEqual(injectedPublications({ targets: [], forbidden: ['apiservices.apiregistration.k8s.io'] }), [
      {
        namespace: '',
        displayName: 'apiservices.apiregistration.k8s.io',
        changedAtMs: Number.POSITIVE_INFINITY,
        detail: 'the operator runs with --inject-ca and may not get, list and watch them',
      },
    ]);
  });

  test('waits for an object with other roots that cannot be written, and says why', () => {
    const changes = { content: { isEmpty: false, bundle: 'old' }, outcome: { state: 'failed', message: 'x' } } as const;
    assert.deepEqual(injectedPublications({ targets: [target('a', changes)], forbidden: [] }), [
      { namespace: '', displayName: 'APIService a', bundle: 'old', changedAtMs: 7, detail: 'x' },
    ]);
  });
});

test('only the roots of the authority itself are injected, in the order of its bundle', () => {
  const [first, second] = [root(), root()];
  const bundle = trustBundle(first.certificate, [second.certificate]);
  assert.equal(injectedRoots(bundle).pem, bundle.pem);
  assert.equal(
    injectedRoots({ ...bundle, pem: `${bundle.pem}partner`, digest: 'other' } as typeof bundle).pem,
    bundle.pem,
  );
});
