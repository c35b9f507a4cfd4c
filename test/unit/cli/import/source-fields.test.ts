import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  certificateFields,
  certManagerVersion,
  issuerFields,
  type SourceField,
  usageTable,
} from '../../../../src/cli/index.ts';
import { certManagerCrds, type OpenApi, specSchema } from '../../../support/cert-manager/crds.ts';
import { missing } from '../../../support/missing.ts';

const skip = missing.go() ?? false;

/** The paths of a schema that the table has to list, with the type that the table gives them. */
function pathsIn(schema: OpenApi, table: ReadonlyMap<string, SourceField>, prefix = ''): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const path = prefix + name;
    if (table.get(path)?.type === 'any') return [`${path}: any`];
    const below =
      field.items === undefined ? pathsIn(field, table, `${path}.`) : pathsIn(field.items, table, `${path}[].`);
    return [`${path}: ${typeOf(field)}`, ...below];
  });
}

function typeOf({ type = '', items, additionalProperties }: OpenApi): string {
  if (type === 'array') return items?.type === 'object' ? 'objects' : 'strings';
  return additionalProperties === undefined ? type : 'map';
}

for (const [plural, fields] of [
  ['certificates', certificateFields],
  ['issuers', issuerFields],
  ['clusterissuers', issuerFields],
] as const) {
  test(`the table has every field of spec in the CRD of ${plural}, with its type, and no other`, { skip }, async () => {
    const table = new Map(fields.map((field) => [field.path, field]));
    assert.equal(table.size, fields.length);
    const wanted = pathsIn(specSchema(await certManagerCrds(), plural), table);
    assert.deepEqual(fields.map(({ path, type }) => `${path}: ${type}`).sort(), wanted.sort());
  });
}

test('the table names the version of cert-manager whose CRDs the tests read', () => {
  const pinned = readFileSync(new URL('../../../../tools/go-tools/cert-manager/go.mod', import.meta.url), 'utf8');
  assert.ok(pinned.includes(`\tgithub.com/cert-manager/cert-manager v${certManagerVersion}.`));
});

test('every usage that the table converts is a usage of cert-manager', { skip }, async () => {
  const usages = specSchema(await certManagerCrds(), 'certificates').properties?.['usages']?.items?.enum ?? [];
  assert.deepEqual(
    Object.keys(usageTable).filter((usage) => !usages.includes(usage)),
    [],
  );
});
