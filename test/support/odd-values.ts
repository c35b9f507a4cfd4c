import type { Schema } from '../../src/api/schema.ts';
import * as fc from './properties.ts';

/** Values for the text fields of a resource: valid ones first, then unusual ones. */
const texts: readonly string[] = [
  ['default', 'payments', 'shop', 'a', 'cluster.local', 'example.com', '*.example.com', 'Root', 'team', 'edge'],
  ['10.0.0.1', 'fd00::1', '10.0.0.0/8', 'spiffe://cluster.local/ns/shop/sa/a', 'https://example.com', 'a@b.c'],
  ['1h', '2160h', '5m', '1.5h', '0s', '-1h', '1d', '99999999999999999h', '1e9h', `${'9'.repeat(400)}h`],
  ['1.3.6.1.4.1.311.20.2.3', '1', '9.9.9', '2.999', '1.2.99999999999999999999', 'In', 'Exists', 'server', 'Ready'],
  ['2026-01-01T00:00:00Z', '2026-02-30T00:00:00Z', 'never', '+275760-09-13T00:00:00Z', 'a'.repeat(64)],
  ['', ' ', '\0', '\n', '\u{1f512}', '\ud800', '\u202e', '__proto__', 'constructor', 'toString', '[object Object]'],
  ['x'.repeat(70), 'x'.repeat(5000), 'a.'.repeat(3000), '-----BEGIN CERTIFICATE-----', '{}', 'null', '%00', '$&'],
].flat();

/** Valid values for the fields by name: most cases have to pass the first check. */
const usual: Readonly<Record<string, readonly unknown[]>> = {
  algorithm: ['RSA', 'ECDSA', 'Ed25519'],
  size: [256, 384, 521, 2048, 4096],
  encoding: ['PKCS8', 'PKCS8', 'PKCS1', 'SEC1'],
  rotationPolicy: ['Always', 'Never'],
  privateKey: [{ algorithm: 'ECDSA', encoding: 'PKCS8', rotationPolicy: 'Always' }],
  duration: ['2160h', '24h', '5m'],
  renewBefore: ['720h', '1h', '1m'],
  renewBeforePercentage: [33, 1, 99],
  dnsNames: [['payments.shop.svc'], ['*.payments.shop.svc'], []],
  ipAddresses: [[]],
  emailAddresses: [[]],
  otherNames: [[]],
  commonName: ['payments'],
  secretName: ['payments-tls', 'mtls-root'],
  name: ['default'],
  trustDomain: ['cluster.local'],
  clusterDomain: ['cluster.local'],
  uris: [['spiffe://cluster.local/ns/shop/sa/a']],
  service: ['payments'],
  serviceAccount: ['checkout'],
  propagationDelay: ['3m'],
  reissuesPerSecond: [100],
  approval: ['Automatic', 'Manual'],
};

export const oddText: fc.Arbitrary<string> = fc.oneof(
  { arbitrary: fc.constantFrom(...texts), weight: 8 },
  { arbitrary: fc.string({ maxLength: 20 }), weight: 1 },
);

const oddNumber = fc.oneof(
  fc.constantFrom(0, 1, -1, 33, 100, 256, 2048, 1e9, Number.MAX_SAFE_INTEGER, -1e21, 1e300),
  fc.integer(),
);

/** Values that fit a schema but ignore its bounds. With `wrongTypes`, some values have another type. */
export function ofSchema(schema: Schema, wrongTypes: boolean, name = ''): fc.Arbitrary<unknown> {
  const value = valueOf(schema, wrongTypes);
  const good = usual[name];
  const mostly =
    good === undefined
      ? value
      : fc.oneof({ arbitrary: fc.constantFrom(...good), weight: 8 }, { arbitrary: value, weight: 1 });
  if (!wrongTypes) return mostly;
  const wrong = fc.constantFrom<unknown>(
    null,
    0,
    1.5,
    'x',
    true,
    [],
    {},
    ['5m'],
    [null],
    { a: null },
    [['a']],
    Number.NaN,
  );
  return fc.oneof({ arbitrary: mostly, weight: 100 }, { arbitrary: wrong, weight: 1 });
}

function valueOf({ type, items, properties, additionalProperties, required = [] }: Schema, wrongTypes: boolean) {
  if (type === 'string') return oddText;
  if (type === 'integer') return oddNumber;
  if (type === 'boolean') return fc.boolean();
  if (items !== undefined) return fc.array(ofSchema(items, wrongTypes), { maxLength: 3 });
  if (additionalProperties !== undefined)
    return fc.dictionary(oddText, ofSchema(additionalProperties, wrongTypes), { maxKeys: 3, noNullPrototype: true });
  const fields = Object.entries(properties ?? {});
  // Only a few optional fields at a time: if every field were odd, only the first check would be tested.
  const optional = fields.map(([name]) => name).filter((name) => !required.includes(name));
  return fc.subarray(optional, { maxLength: Math.min(3, optional.length) }).chain((some) => {
    const chosen = fields.filter(([name]) => required.includes(name) || some.includes(name));
    const record = Object.fromEntries(chosen.map(([name, field]) => [name, ofSchema(field, wrongTypes, name)]));
    return fc.record(record, { noNullPrototype: true });
  });
}
