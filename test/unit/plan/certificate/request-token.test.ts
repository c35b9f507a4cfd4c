import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { annotations } from '../../../../src/api/constants.ts';
import type { Secret } from '../../../../src/kube/index.ts';
import type { LeafRecord } from '../../../../src/pki/index.ts';
import {
  handledByAll,
  handledByOne,
  mayFulfilRequest,
  pendingToken,
  type RequestVerb,
  secretStatusOf,
} from '../../../../src/plan/certificate/request-token.ts';
import { ready } from '../../../support/fixtures/authority.ts';
import { root } from '../../../support/fixtures/roots.ts';
import { foreign, orphaned, withData, withMarks, withMetadata } from '../../../support/fixtures/secret.ts';
import { authority, fresh, signer } from './certificate-table.ts';

const both = fresh.asking({ client: { serviceAccount: 'checkout' } });
const token = { rotate: 'rotateToken', revoke: 'revokeToken' } as const;
const ofAll = { rotate: 'lastHandledRotate', revoke: 'lastHandledRevoke' } as const;
const ofOne = { rotate: 'handledRotate', revoke: 'handledRevoke' } as const;
const verbs: readonly RequestVerb[] = ['rotate', 'revoke'];

for (const verb of verbs) {
  /** Issued and in status; then a person has asked. */
  const known = both
    .issuedBy(signer)
    .reported(authority)
    .with({ [token[verb]]: 'a' });
  const noted = withMarks('annotations', { [annotations[verb]]: 'a' });
  const [server, client] = known.record.status.secrets ?? [];
  if (server === undefined || client === undefined) throw new Error('status has no Secrets');

  describe(`a request to ${verb}`, () => {
    test('is open until status says that all Secrets, or this one, have answered it', () => {
      const open = (given: typeof known, role: 'server' | 'client' = 'server') =>
        pendingToken(verb, given.record, role);
      assert.equal(open(known), 'a');
      assert.equal(open(known.remembering({ [ofAll[verb]]: 'a' })), undefined);
      assert.equal(open(known.remembering({ [ofAll[verb]]: 'b' })), 'a');
      const one = known.remembering({ secrets: [{ ...server, [ofOne[verb]]: 'a' }, client] });
      assert.deepEqual([open(one), open(one, 'client')], [undefined, 'a']);
      assert.equal(open(fresh), undefined);
    });

    // The operator was ended after it wrote the answer, and before it could say so in status.
    const answered = known.issuedBy(signer).whereSecret('server', noted);
    const rows: Record<string, { given: typeof known; is: boolean }> = {
      'that has the note and a new certificate for a new key': { given: answered, is: true },
      'without the note': { given: known.issuedBy(signer).whereSecret('server', withoutNote), is: false },
      'with the note of another request': {
        given: answered.whereSecret('server', withMarks('annotations', { [annotations[verb]]: 'b' })),
        is: false,
      },
      'with the certificate that status knows': { given: known.whereSecret('server', noted), is: false },
      'with a certificate that was replaced': {
        given: answered.remembering({ secrets: [withReplaced(answered), client] }),
        is: false,
      },
      'with another certificate for the key that status knows': {
        given: answered.remembering({
          secrets: [{ ...server, publicKeyFingerprint: leafOf(answered).publicKey }, client],
        }),
        is: false,
      },
      'with a certificate of an unknown root': {
        given: known.issuedBy(root({ name: 'Unknown' })).whereSecret('server', noted),
        is: false,
      },
      'with a certificate that cannot be read': {
        given: answered.whereSecret('server', withData({ 'tls.crt': 'x' })),
        is: false,
      },
      'that another object controls': { given: answered.whereSecret('server', ownedByOther), is: false },
      'that was not handed over': {
        given: answered.whereSecret('server', (secret) => noted(foreign(secret))),
        is: false,
      },
      'that was handed over for another role': {
        given: answered.whereSecret('server', (secret) =>
          orphaned(withMarks('labels', { 'mtls-operator.io/role': 'client' })(secret)),
        ),
        is: false,
      },
      'that was handed over': { given: answered.whereSecret('server', orphaned), is: true },
      'that is not there': { given: answered.withoutSecret('server'), is: false },
      'of a request that status calls answered': { given: answered.remembering({ [ofAll[verb]]: 'a' }), is: false },
    };
    for (const [title, { given, is }] of Object.entries(rows)) {
      test(`${is ? 'may have its answer' : 'has no answer'} in a Secret ${title}`, () => {
        const secret = given.observed(authority).roles.find(({ role }) => role === 'server')?.secret;
        assert.equal(mayFulfilRequest(verb, given.record, 'server', secret), is);
      });
    }

    test('has its answer in a Secret of which status says nothing', () => {
      const given = answered.with({ status: {} });
      assert.equal(mayFulfilRequest(verb, given.record, 'server', given.secretRecord('server', ready(signer))), true);
    });

    /** What status says of it next. */
    const next = (given: typeof known, isAnswered: { server: boolean; client: boolean }) => {
      const all = handledByAll(verb, given.record, isAnswered.server && isAnswered.client);
      const one = (role: 'server' | 'client') =>
        handledByOne(verb, given.record, role, { isAnswered: isAnswered[role], ofAll: all });
      return { all, server: one('server'), client: one('client') };
    };
    const [handled, answeredBy] = [{ [ofAll[verb]]: 'a' }, { [ofOne[verb]]: 'a' }];
    const none = { all: {}, server: {}, client: {} };

    test('is handled once all Secrets have answered it, and not before', () => {
      assert.deepEqual(next(known, { server: false, client: false }), none);
      assert.deepEqual(next(known, { server: true, client: false }), { ...none, server: answeredBy });
      assert.deepEqual(next(known, { server: true, client: true }), { ...none, all: handled });
    });

    test('that one Secret has answered is remembered of it while the other has not, and no longer', () => {
      const one = known.remembering({ secrets: [{ ...server, ...answeredBy }, client] });
      assert.deepEqual(next(one, { server: false, client: false }), { ...none, server: answeredBy });
      assert.deepEqual(next(one, { server: true, client: true }), { ...none, all: handled });
    });

    test('that was handled before stays handled while a new one is not, and when it is taken back', () => {
      const before = known.remembering({ [ofAll[verb]]: 'z' });
      const old = { [ofAll[verb]]: 'z' };
      assert.deepEqual(next(before, { server: false, client: true }), { ...none, all: old, client: answeredBy });
      const { [token[verb]]: _, ...record } = before.record;
      assert.deepEqual(handledByAll(verb, record, false), old);
      assert.deepEqual(handledByAll(verb, record, true), old);
    });
  });
}

function withoutNote(secret: Secret): Secret {
  return withMarks('annotations', { [annotations.rotate]: undefined, [annotations.revoke]: undefined })(secret);
}

function ownedByOther(secret: Secret): Secret {
  return withMetadata(() => ({
    ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'a', uid: 'b', controller: true }],
  }))(secret);
}

function leafOf(given: typeof both): LeafRecord {
  const { content } = given.secretRecord('server', authority);
  if (!('leaf' in content)) throw new Error('there is no certificate');
  return content.leaf;
}

/** The entry of the role server in status, with the certificate in its Secret as one that was replaced. */
function withReplaced(given: typeof both) {
  const entry = secretStatusOf(given.record, 'server');
  if (entry === undefined) throw new Error('status has no Secret');
  const { rootFingerprint, notAfter } = entry;
  return { ...entry, replaced: [{ serialNumber: leafOf(given).serialNumber, rootFingerprint, notAfter }] };
}
