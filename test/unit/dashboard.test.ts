import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { Metrics } from '../../src/telemetry/metrics.ts';
import { selectorsIn, shippedDashboard, withVariables } from '../support/alerts/dashboard.ts';
import { shippedAlerts } from '../support/alerts/rules.ts';
import { mirrorOf } from '../support/metrics.ts';

const { panels, templating } = shippedDashboard();
const shown = panels.filter(({ type }) => type !== 'row');
const columns = 24;

describe('the dashboard', () => {
  test('has panels that neither overlap nor leave a gap in a line', () => {
    const cells = new Map<string, string>();
    for (const {
      title,
      gridPos: { x, y, w, h },
    } of panels)
      for (let column = x; column < x + w; column += 1)
        for (let line = y; line < y + h; line += 1) {
          const cell = `${column},${line}`;
          assert.equal(cells.get(cell), undefined, `${title} overlaps`);
          cells.set(cell, title);
        }
    const height = Math.max(...panels.map(({ gridPos: { y, h } }) => y + h));
    assert.equal(cells.size, columns * height);
  });

  test('begins with what is wrong, and has a description and a unit for every panel', () => {
    assert.deepEqual(
      panels.filter(({ type }) => type === 'row').map(({ title }) => title),
      ['What is wrong', 'Expiry', 'Rotation of the root', 'Issuing', 'Certificates of pods', 'Runtime', 'API server'],
    );
    assert.equal(new Set(shown.map(({ id }) => id)).size, shown.length);
    assert.equal(new Set(shown.map(({ title }) => title)).size, shown.length);
    for (const { title, description, fieldConfig, targets } of shown) {
      assert.match(description ?? '', /^[A-Z].*\.$/, title);
      assert.ok(fieldConfig?.defaults.unit, `${title} has no unit`);
      assert.ok(targets !== undefined && targets.length > 0, `${title} has no query`);
    }
  });

  test('uses only variables that it has, and each of them', () => {
    const values = Object.fromEntries(templating.list.map(({ name }) => [name, `<${name}>`]));
    const queries = [
      ...shown.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
      ...templating.list.flatMap(({ definition }) => definition ?? []),
    ].map((query) => withVariables(query, { ...values, __rate_interval: '5m' }));
    for (const { name, type } of templating.list)
      if (type !== 'datasource')
        assert.ok(
          queries.some((query) => query.includes(`<${name}>`)),
          name,
        );
  });
});

test('the dashboard and the alerts read only metrics that the operator serves', async () => {
  const metrics = new Metrics({ version: '1', perCertificate: true });
  metrics.mirror(mirrorOf([{ labels: [], value: 1 }]));
  const { body } = await metrics.expose();
  const served = new Set([...[...body].join('').matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name));
  const ofPrometheus = new Set(['up', 'ALERTS']);
  const queries = [
    ...shown.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ...templating.list.flatMap(({ definition }) => definition ?? []),
    ...shippedAlerts().map(({ expr }) => expr),
  ];
  const read = new Set(queries.flatMap(selectorsIn).map((selector) => selector.replace(/(_bucket)?\{.*/s, '')));
  assert.ok(read.size > 20);
  assert.deepEqual(
    [...read].filter((name) => !served.has(name) && !ofPrometheus.has(name)),
    [],
  );
});
