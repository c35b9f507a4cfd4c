import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { startOperatorProgram } from '../../tools/operator.ts';
import { paths, type Stored } from '../support/api.ts';
import { eventually } from '../support/eventually.ts';
import { installation } from '../support/installation.ts';
import { scratchFolder } from '../support/scratch.ts';

const world = installation({ operator: false, watched: false });

interface ClusterRole extends Stored {
  readonly rules: readonly { readonly resources?: readonly string[]; readonly verbs: readonly string[] }[];
}

const rolePath = '/apis/rbac.authorization.k8s.io/v1/clusterroles/mtls-operator';

/** Allows or forbids the operator to create authorities. */
async function mayCreateAuthorities(isAllowed: boolean): Promise<void> {
  const { rules } = await world.api.get<ClusterRole>(rolePath);
  const changed = rules.map((rule) => {
    if (rule.resources?.includes('mtlsauthorities') !== true) return rule;
    const verbs = rule.verbs.filter((verb) => verb !== 'create');
    return { ...rule, verbs: isAllowed ? [...verbs, 'create'] : verbs };
  });
  await world.api.patch(rolePath, { rules: changed });
}

interface AdmissionPolicy extends Stored {
  readonly spec: { readonly validations: readonly { readonly expression: string }[] };
}

const policyPath = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/mtls-operator-names';

/** Lets the admission policy allow that the operator creates these authorities. */
async function allowNames(names: readonly string[]): Promise<void> {
  const { spec } = await world.api.get<AdmissionPolicy>(policyPath);
  const allowed = `request.name in ${JSON.stringify(names)}`;
  const validations = spec.validations.map((rule) =>
    rule.expression.includes("'mtlsauthorities'")
      ? { ...rule, expression: `request.resource.resource != 'mtlsauthorities' || ${allowed}` }
      : rule,
  );
  await world.api.patch(policyPath, { spec: { validations } });
}

const manifest = (name: string, spec: object) => ({
  apiVersion: 'mtls-operator.io/v1alpha1',
  kind: 'MtlsAuthority',
  metadata: { name, labels: { team: 'pki' } },
  spec: { secretName: `${name}-root`, ...spec },
});

const failures = (authority: string) =>
  world
    .logs()
    .filter(
      (line) => line['authority'] === authority && String(line['message']).startsWith('could not create an authority'),
    );

describe('--authorities-file', () => {
  test('creates the missing authorities, changes no other, and retries what the API server refuses', async () => {
    await mayCreateAuthorities(false);
    const existing = await world.createAuthority('existing', {
      secretName: 'existing-root',
      root: { commonName: 'Mine' },
    });
    const file = join(await scratchFolder('flags'), 'authorities.json');
    const authorities = [
      manifest('existing', { root: { commonName: 'Other' } }),
      manifest('new', { root: {} }),
      // Only a CEL rule of the API server refuses this one.
      manifest('wrong', { root: { duration: '1m' } }),
    ];
    writeFileSync(file, JSON.stringify(authorities));
    await world.start({ args: [`--authorities-file=${file}`] });

    await eventually(() =>
      assert.ok(failures('new').some(({ advice }) => String(advice).startsWith('allow the operator'))),
    );
    assert.equal(await world.api.find(paths.authorities('new')), undefined);
    await allowNames(['new', 'wrong']);
    await mayCreateAuthorities(true);
    const created = await world.authorityIs('new', 'True');
    assert.deepEqual(created.metadata.labels, { team: 'pki' });
    // A resource does not wait for the authorities of others.
    await (await world.tenant('flags')).issue('db', { server: { service: 'db' }, authorityRef: { name: 'new' } });

    await eventually(() =>
      assert.ok(failures('wrong').some(({ advice }) => String(advice).startsWith('correct the field'))),
    );
    await world.createAuthority('wrong', { secretName: 'wrong-root', root: {} });
    await world.authorityIs('wrong', 'True');

    const { metadata, spec } = await world.authority('existing');
    assert.deepEqual([metadata.generation, spec], [existing.metadata.generation, existing.spec]);
    assert.deepEqual(metadata.labels, existing.metadata.labels);
    assert.equal(await world.api.find(paths.authorities('default')), undefined);
  });

  test('ends the process at once with exit code 2 and one sentence if the file cannot be used', async () => {
    const folder = await scratchFolder('flags');
    const file = join(folder, 'wrong.json');
    writeFileSync(file, JSON.stringify([manifest('a', { root: { commonName: 7 } })]));
    const cases: [file: string, sentence: string][] = [
      [file, `--authorities-file: ${file}: [0].spec.root.commonName must be a string`],
      [
        join(folder, 'no.json'),
        `--authorities-file: ${join(folder, 'no.json')} cannot be read: no such file or directory`,
      ],
    ];
    for (const [path, sentence] of cases) {
      const program = startOperatorProgram({ args: [] }, { args: [`--authorities-file=${path}`] });
      assert.deepEqual(await program.exited, { code: 2, signal: null });
      assert.equal(program.lines[0]?.['message'], `mtls-operator: ${sentence}`);
    }
  });
});
