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
  /** A certificate was issued and is in status. After that, a user has set the annotation. */
  const known = both
    .issuedBy(signer)
    .reported(authority)
    .with({ [token[verb]]: 'a' });
  const noted = withMarks('annotations', { [annotations[verb]]: 'a' });
  const [server, client] = known.record.status.secrets ?? [];
  if (server === undefined || client === undefined) throw new Error('status has no Secrets');

  describe(`a request to ${verb}`, () => {
    test('is pending until status says that every Secret, or this one, was issued for it', () => {
      const open = (given: typeof known, role: 'server' | 'client' = 'server') =>
        pendingToken(verb, given.record, role);
      assert.equal(open(known), 'a');
      assert.equal(open(known.remembering({ [ofAll[verb]]: 'a' })), undefined);
      assert.equal(open(known.remembering({ [ofAll[verb]]: 'b' })), 'a');
      const one = known.remembering({ secrets: [{ ...server, [ofOne[verb]]: 'a' }, client] });
      assert.deepEqual([open(one), open(one, 'client')], [undefined, 'a']);
      assert.equal(open(fresh), undefined);
    });

    // The operator stopped after it issued the certificate and before it wrote status.
    const answered = known.issuedBy(signer).whereSecret('server', noted);
    const rows: Record<string, { given: typeof known; is: boolean }> = {
      'with the annotation and a new certificate for a new key': { given: answered, is: true },
      'without the annotation': { given: known.issuedBy(signer).whereSecret('server', withoutNote), is: false },
      'with the annotation of another request': {
        given: answered.whereSecret('server', withMarks('annotations', { [annotations[verb]]: 'b' })),
        is: false,
      },
      'with the certificate in status': { given: known.whereSecret('server', noted), is: false },
      'with a certificate that was replaced': {
        given: answered.remembering({ secrets: [withReplaced(answered), client] }),
        is: false,
      },
      'with another certificate for the key in status': {
        given: answered.remembering({
          secrets: [{ ...server, publicKeyFingerprint: leafOf(answered).publicKey }, client],
        }),
        is: false,
      },
      'with a certificate issued by an unknown root': {
        given: known.issuedBy(root({ name: 'Unknown' })).whereSecret('server', noted),
        is: false,
      },
      'with a certificate that is not valid': {
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
      'that is missing': { given: answered.withoutSecret('server'), is: false },
      'of a request that status reports as handled': { given: answered.remembering({ [ofAll[verb]]: 'a' }), is: false },
    };
    for (const [title, { given, is }] of Object.entries(rows)) {
      test(`${is ? 'may be' : 'is not'} answered by a Secret ${title}`, () => {
        const secret = given.observed(authority).roles.find(({ role }) => role === 'server')?.secret;
        assert.equal(mayFulfilRequest(verb, given.record, 'server', secret), is);
      });
    }

    test('may be answered by a Secret without an entry in status', () => {
      const given = answered.with({ status: {} });
      assert.equal(mayFulfilRequest(verb, given.record, 'server', given.secretRecord('server', ready(signer))), true);
    });

    /** The fields of the next status. */
    const next = (given: typeof known, isAnswered: { server: boolean; client: boolean }) => {
      const all = handledByAll(verb, given.record, isAnswered.server && isAnswered.client);
      const one = (role: 'server' | 'client') =>
        handledByOne(verb, given.record, role, { isAnswered: isAnswered[role], ofAll: all });
      return { all, server: one('server'), client: one('client') };
    };
    const [handled, answeredBy] = [{ [ofAll[verb]]: 'a' }, { [ofOne[verb]]: 'a' }];
    const none = { all: {}, server: {}, client: {} };

    test('is handled only when every Secret was issued for it', () => {
      assert.deepEqual(next(known, { server: false, client: false }), none);
      assert.deepEqual(next(known, { server: true, client: false }), { ...none, server: answeredBy });
      assert.deepEqual(next(known, { server: true, client: true }), { ...none, all: handled });
    });

    test('is recorded for a single Secret only while the other Secret was not issued for it', () => {
      const one = known.remembering({ secrets: [{ ...server, ...answeredBy }, client] });
      assert.deepEqual(next(one, { server: false, client: false }), { ...none, server: answeredBy });
      assert.deepEqual(next(one, { server: true, client: true }), { ...none, all: handled });
    });

    test('stays handled while a new request is pending, and after the new request is withdrawn', () => {
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

/** The entry of the role server in status, with the certificate in its Secret as a replaced one. */
function withReplaced(given: typeof both) {
  const entry = secretStatusOf(given.record, 'server');
  if (entry === undefined) throw new Error('status has no Secret');
  const { rootFingerprint, notAfter } = entry;
  return { ...entry, replaced: [{ serialNumber: leafOf(given).serialNumber, rootFingerprint, notAfter }] };
}
