import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse, parseDocument } from 'yaml';

import { type Config, readConfig } from '../../src/config/config.ts';
import { chartReadmeFile } from '../../tools/generate/chart/readme.ts';
import { chartSchemaFile, type JsonSchema } from '../../tools/generate/chart/schema.ts';
import { chartValues } from '../../tools/generate/chart/values.ts';

const CHART = join(import.meta.dirname, '../../deploy/helm/mtls-operator');
const read = (file: string): string => readFileSync(join(CHART, file), 'utf8');

describe('the schema of the values', () => {
  /** Parts of manifests whose types belong to Kubernetes or to the Prometheus operator. The API server checks them. */
  const open = [
    'affinity.nodeAffinity',
    'affinity.podAffinity',
    'affinity.podAntiAffinity',
    'extraEnv[].valueFrom',
    'extraObjects[]',
    'extraVolumes[]',
    'global',
    'networkPolicy.egress[].to[]',
  ];
  const ofThePrometheusOperator = /^metrics\.(?:service|pod)Monitor\.(?:\w*relabelings\[\]|tlsConfig|authorization)$/i;

  test('refuses unknown fields everywhere, except where another project owns the type', () => {
    const found = openObjects(JSON.parse(read('values.schema.json')) as JsonSchema, '');
    assert.deepEqual(found.filter((path) => !ofThePrometheusOperator.test(path)).sort(), open);
  });
});

/** The paths of the objects with arbitrary fields. A map of strings or numbers has a schema for its values. */
function openObjects(schema: JsonSchema, path: string): readonly string[] {
  const { type, properties = {}, additionalProperties, items, definitions = {} } = schema;
  const isObject = type === 'object' || (Array.isArray(type) && type.includes('object'));
  return [
    ...(isObject && additionalProperties === undefined ? [path] : []),
    ...Object.entries(properties).flatMap(([name, field]) =>
      openObjects(field, path === '' ? name : `${path}.${name}`),
    ),
    ...(additionalProperties ? openObjects(additionalProperties, `${path}.*`) : []),
    ...(items === undefined ? [] : openObjects(items, `${path}[]`)),
    ...Object.entries(definitions).flatMap(([name, definition]) => openObjects(definition, `definitions.${name}`)),
  ];
}

test('a value whose argument is left out at its default has the default of the flag', () => {
  const values = parse(read('values.yaml')) as {
    readonly log: { readonly level: string; readonly format: string };
    readonly workers: number;
    readonly leaderElection: Readonly<Record<'leaseDuration' | 'renewDeadline' | 'retryPeriod', string>>;
  };
  const byValue = readConfig(
    [
      `--log-level=${values.log.level}`,
      `--log-format=${values.log.format}`,
      `--workers=${values.workers}`,
      `--lease-duration=${values.leaderElection.leaseDuration}`,
      `--renew-deadline=${values.leaderElection.renewDeadline}`,
      `--retry-period=${values.leaderElection.retryPeriod}`,
    ],
    { POD_NAME: 'a' },
  ) as Config;
  assert.deepEqual(byValue, readConfig([], { POD_NAME: 'a' }));
});

describe('the comments of values.yaml', () => {
  const values = (text: string) => chartValues(parseDocument(text));

  test('describe the values below them, and name sections', () => {
    assert.deepEqual(
      values(
        '# About the file.\n\n# Names\n\n# The name.\nname: a\n\n# Image\n\nimage:\n  # The tag,\n  # of course.\n  tag: a\n# Resources.\nlimits: { cpu: 1 }\n',
      ),
      [
        { path: 'name', section: 'Names', description: 'The name.', default: 'a' },
        { path: 'image.tag', section: 'Image', description: 'The tag, of course.', default: 'a' },
        { path: 'limits', section: 'Image', description: 'Resources.', default: { cpu: 1 } },
      ],
    );
  });

  test('cannot be missing', () => {
    assert.throws(() => values('# Logs\n\nlog:\n  level: info\n'), /log\.level has no comment/);
  });

  test('become the descriptions of the schema and the rows of the README', () => {
    const tag = values('# Image\n\n# The tag | digest.\ntag: a\n');
    const schema = { properties: { tag: { type: 'string' } } };
    assert.deepEqual(JSON.parse(chartSchemaFile(schema, tag, undefined)), {
      properties: { tag: { description: 'The tag | digest.', type: 'string' } },
      definitions: {},
    });
    const readme = chartReadmeFile(read('README.md'), tag);
    assert.match(readme, /^### Image\n\n.*\n.*\n\| `tag` \| `a` \| The tag \\\| digest\. \|\n\n/m);
    assert.equal(chartReadmeFile(readme, tag), readme);
  });

  test('belong to values that the schema has', () => {
    const workers = values('# Workers.\nworkers: 32\n');
    assert.throws(() => chartSchemaFile({ properties: {} }, workers, undefined), /lacks workers/);
    assert.throws(
      () => chartSchemaFile({ properties: { workers: {}, other: {} } }, workers, undefined),
      /values\.other has no description/,
    );
  });
});
