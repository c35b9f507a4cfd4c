/**
 * The test cases of Go's crypto/x509 (name_constraints_test.go) with names that the operator's certificates can have. The
 * operator refuses everything that Go refuses. Where it is stricter, `stricter` names the other verifier that refuses the name.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { namesOutsideConstraints, type Subject, type SubjectAltNames } from '../../../../src/pki/index.ts';
import { type Constraints, encodeConstraints } from '../../../support/judges/constrained.ts';

type Vector = [path: readonly Constraints[], names: readonly string[], go: boolean];

const vectors: readonly Vector[] = [
  [[{ permitted: ['dns:example.com'] }], ['dns:example.com'], true],
  [[{ permitted: ['dns:.example.com'] }], ['dns:example.com'], false],
  [[{ permitted: ['dns:.example.com'] }], ['dns:foo.example.com'], true],
  [[{ permitted: ['dns:.example.com'] }], ['dns:foo.bar.example.com'], true],
  [[{ permitted: ['dns:.example.com'] }], ['ip:10.1.1.1'], true],
  [[{ permitted: ['ip:10.0.0.0/255.0.0.0'] }], ['dns:example.com'], true],
  [[{ permitted: ['dns:example.com'] }, { permitted: ['dns:example.com', 'dns:foo.com'] }], ['dns:example.com'], true],
  [[{ permitted: ['dns:example.com'] }, { permitted: ['dns:foo.example.com', 'dns:foo.com'] }], ['dns:foo.com'], false],
  [[{ permitted: ['dns:.example.com'] }, { permitted: ['dns:.bar.example.com'] }], ['dns:foo.bar.example.com'], true],
  [
    [{ permitted: ['dns:.example.com'] }, { permitted: ['dns:.bar.example.com'] }],
    ['dns:foo.notbar.example.com'],
    false,
  ],
  [[{ excluded: ['dns:.example.com'] }], ['dns:foo.com'], true],
  [[{ excluded: ['dns:.example.com'] }], ['dns:foo.example.com'], false],
  [[{ excluded: ['dns:.example.com'] }], ['dns:foo.com', 'ip:10.1.1.1'], true],
  [[{ excluded: ['ip:10.0.0.0/255.0.0.0'] }], ['ip:192.168.1.1'], true],
  [[{ excluded: ['ip:10.0.0.0/255.0.0.0'] }], ['ip:10.0.0.1'], false],
  [[{ excluded: ['ip:0.0.0.0/128.0.0.0'] }, { excluded: ['ip:11.0.0.0/255.0.0.0'] }], ['ip:11.0.0.1'], false],
  [[{ permitted: ['dns:foo.com', 'dns:.foo.com'] }], ['cn:foo.com'], true],
  [
    [{ permitted: ['ip:32.0.171.205.0.0.0.0.0.0.0.0.0.0.0.0/255.255.255.255.0.0.0.0.0.0.0.0.0.0.0.0'] }],
    ['ip:2000:abcd:1234::'],
    true,
  ],
  [
    [{ permitted: ['ip:32.0.171.205.0.0.0.0.0.0.0.0.0.0.0.0/255.255.255.255.0.0.0.0.0.0.0.0.0.0.0.0'] }],
    ['ip:2000:1234:abcd::'],
    false,
  ],
  [
    [{ permitted: ['ip:32.0.171.205.0.0.0.0.0.0.0.0.0.0.0.0/255.255.255.255.0.0.0.0.0.0.0.0.0.0.0.0'] }],
    ['ip:2000:abcd::', 'dns:foo.com'],
    true,
  ],
  [
    [{ excluded: ['ip:32.0.171.205.0.0.0.0.0.0.0.0.0.0.0.0/255.255.255.255.0.0.0.0.0.0.0.0.0.0.0.0'] }],
    ['ip:2000:1234::'],
    true,
  ],
  [
    [{ excluded: ['ip:32.0.171.205.0.0.0.0.0.0.0.0.0.0.0.0/255.255.255.255.0.0.0.0.0.0.0.0.0.0.0.0'] }],
    ['ip:2000:abcd::'],
    false,
  ],
  [
    [{ permitted: ['ip:32.0.171.205.0.0.0.0.0.0.0.0.0.0.0.0/255.255.255.255.0.0.0.0.0.0.0.0.0.0.0.0'] }],
    ['ip:10.0.0.1'],
    false,
  ],
  [[{ permitted: ['ip:10.0.0.0/255.0.0.0'] }], ['ip:2000:abcd::'], false],
  [[{ permitted: ['email:foo@example.com'] }], ['email:foo@example.com'], true],
  [[{ permitted: ['email:foo@example.com'] }], ['email:bar@example.com'], false],
  [[{ permitted: ['email:example.com'] }], ['email:foo@example.com'], true],
  [[{ permitted: ['email:.example.com'] }], ['email:foo@sub.example.com'], true],
  [[{ permitted: ['email:.example.com'] }], ['email:foo@example.com'], false],
  [[{ permitted: ['email:.example.com'] }], ['email:foo@sub.sub.example.com'], true],
  [[{ permitted: ['email:foo@example.com'] }], ['email:Foo@example.com'], false],
  [[{ permitted: ['email:foo@EXAMPLE.com'] }], ['email:foo@example.com'], true],
  [[{ permitted: ['dns:EXAMPLE.com'] }], ['dns:example.com'], true],
  [
    [{ permitted: ['uri:example.com'] }],
    ['uri:http://example.com/bar', 'uri:http://example.com:8080/', 'uri:https://example.com/wibble#bar'],
    true,
  ],
  [[{ permitted: ['uri:example.com'] }], ['uri:http://1.2.3.4/'], false],
  [[{ permitted: ['uri:example.com'] }], ['uri:http://1.2.3.4:43/'], false],
  [[{ permitted: ['uri:example.com'] }], ['uri:http://[2006:abcd::1]/'], false],
  [[{ permitted: ['uri:example.com'] }], ['uri:http://[2006:abcd::1]:16/'], false],
  [[{ permitted: ['uri:example.com'] }], ['uri:http://bar.com/'], false],
  [[{ excluded: ['uri:foo.com'] }], ['uri:http://foo.com/'], false],
  [[{ permitted: ['uri:.foo.com'] }], ['uri:http://www.foo.com/'], true],
  [
    [
      {
        excluded: [
          'ip:0.0.0.0.0.0.0.0.0.0.255.255.1.2.3.4/255.255.255.255.255.255.255.255.255.255.255.255.255.255.255.255',
        ],
      },
    ],
    ['ip:1.2.3.4'],
    true,
  ],
  [[{ permitted: ['uri:example.com'] }], ['uri:urn:example'], false],
  [
    [
      {
        permitted: ['ip:1.2.3.0/255.255.255.0'],
        excluded: ['ip:0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0/0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0'],
      },
    ],
    ['ip:1.2.3.4'],
    true,
  ],
  [[{ permitted: ['dns:'] }], ['dns:example.com'], true],
  [[{ excluded: ['dns:'] }], ['dns:example.com'], false],
  [[{ permitted: ['email:'] }], ['email:foo@example.com'], true],
  [[{ excluded: ['email:'] }], ['email:foo@example.com'], false],
  [[{ permitted: ['uri:'] }], ['uri:https://example.com/test'], true],
  [[{ excluded: ['uri:'] }], ['uri:https://example.com/test'], false],
  [[{ permitted: ['dns:foo.com', 'dns:.foo.com'] }], ['cn:foo.bar'], true],
  [[{ permitted: ['dns:foo.com', 'dns:.foo.com'] }], ['dns:foo.com', 'cn:foo.bar'], true],
  [[{ permitted: ['dns:'] }, { permitted: ['dns:example.com'] }], ['dns:test.com'], false],
  [[{ excluded: ['dns:'] }, { excluded: ['dns:example.com'] }], ['dns:test.com'], false],
  [[{ excluded: ['dns:example.com'] }, { excluded: ['dns:'] }], ['dns:test.com'], false],
  [[{ permitted: ['dns:example.com'] }], ['dns:testexample.com'], false],
  [[{ permitted: ['dns:a.com', 'dns:foo.example.com', 'dns:z.com'] }], ['dns:*.example.com'], false],
  [[{ excluded: ['dns:example.com'] }], ['dns:testexample.com'], true],
  [[{ excluded: ['email:a@example.com', 'email:a@test.com'] }], ['email:a@example.com'], false],
  [[{ permitted: ['email:a@example.com'] }], ['email:a@ExAmple.com'], true],
  [[{ excluded: ['dns:sub.example.com'] }], ['dns:*.EXAMPLE.COM'], false],
  [[{ excluded: ['dns:SUB.EXAMPLE.COM'] }], ['dns:*.example.com'], false],
];

/** Cases that Go accepts and the operator refuses: the constraint or name, and the reason. */
const stricter: Readonly<Record<string, string>> = {
  'excluded:[ip:0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0/': 'Java fails where all addresses of the other kind are excluded',
  'permitted:[dns:]': 'Java fails on an empty name',
  'permitted:[email:]': 'Java cannot read the CA',
  'permitted:[uri:]': 'Java cannot read the CA',
  'cn:foo.bar': 'OpenSSL checks the common name as a host name',
};

const kinds = { dns: 'dnsNames', ip: 'ipAddresses', uri: 'uris', email: 'emailAddresses' } as const;

function asked(names: readonly string[]): { names: SubjectAltNames; subject: Subject } {
  const found = { dnsNames: [], ipAddresses: [], uris: [], emailAddresses: [], otherNames: [] } as Record<
    string,
    string[]
  >;
  for (const name of names) {
    const [kind = '', text = ''] = name.split(/:(.*)/s);
    if (kind !== 'cn') found[kinds[kind as keyof typeof kinds]]?.push(text);
  }
  const commonName = names.find((name) => name.startsWith('cn:'))?.slice('cn:'.length);
  return {
    names: found as unknown as SubjectAltNames,
    subject: commonName === undefined ? {} : { commonName },
  };
}

for (const [path, texts, go] of vectors) {
  const said = `${path.map((one) => JSON.stringify(one).replaceAll('"', '')).join(' above ')}, ${texts.join(' ')}`;
  const because = Object.entries(stricter).find(([part]) => said.includes(part))?.[1];
  const isAllowed = go && because === undefined;
  test(`${said}: ${go ? 'accepted by Go' : 'refused by Go'}${go && because !== undefined ? `, refused here: ${because}` : ''}`, () => {
    const { names, subject } = asked(texts);
    const outside = path.flatMap((constraints) =>
      namesOutsideConstraints(encodeConstraints(constraints), names, subject),
    );
    assert.equal(outside.length === 0, isAllowed, outside.join());
  });
}
