import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { annotations, labels } from '../../src/api/constants.ts';
import { flagTypes, readConfig, usage } from '../../src/config/config.ts';
import { constantMembers, unionMembers } from '../../tools/generate/doc-comments.ts';
import { flagsIn } from '../../tools/generate/flags.ts';

const ROOT = join(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const page = (name: string): string => read(`docs/reference/${name}.md`);

const reasonsFile = read('src/api/reasons.ts');
const inReasons = [...reasonsFile.matchAll(/^export type (\w+) =$/gm)].map(([, name = '']) => ({
  name,
  members: unionMembers(reasonsFile, name).map((member) => member.name),
}));
const rootReasons = [
  ...unionMembers(read('src/pki/issuer/ca-validation.ts'), 'CaProblem'),
  ...unionMembers(read('src/pki/issuer/issuer.ts'), 'RootProblem'),
].map(({ name }) => name);
const issueReasons = unionMembers(read('src/plan/certificate/issue-reason.ts'), 'IssueReason').map(({ name }) => name);

const code = globSync(['src/plan/**/*.ts', 'src/controllers/**/*.ts', 'src/pki/issuer/*.ts'], { cwd: ROOT });

describe('the reference of conditions and events', () => {
  const documented = new Set([...inReasons.flatMap(({ members }) => members), ...rootReasons, ...issueReasons]);

  test('has every reason that the code writes', () => {
    for (const file of code) {
      const written = read(file).matchAll(
        /(?:reason: (?:\w+ \? )?|blocked\(|waits\(step, |notReady\(|isNot\(|authorityEvent\(authority, '\w+', |#record\(observed, )'([A-Z]\w+)'/g,
      );
      for (const [, reason = ''] of written) {
        if (['Normal', 'Warning', 'True', 'False'].includes(reason)) continue;
        assert.ok(
          documented.has(reason),
          `${file} writes the reason ${reason}, which has no comment in src/api/reasons.ts`,
        );
      }
    }
  });

  test('has no reason that the code does not write', () => {
    const text = code.map((file) => read(file)).join('\n');
    const phases = /rotationPhases = \[([^\]]+)\]/.exec(text)?.[1] ?? '';
    for (const { name, members } of inReasons)
      for (const member of members)
        assert.ok(text.includes(`'${member}'`) || phases.includes(member), `${name}: ${member} is written nowhere`);
  });

  test('lists every reason, with a meaning', () => {
    const events = new Set([
      'CertificateEvent',
      'AuthorityEvent',
      'PodEvent',
      'PodCertificateReason',
      'InjectionEvent',
    ]);
    for (const { name, members } of inReasons)
      for (const member of members)
        assert.match(page(events.has(name) ? 'events' : 'conditions'), new RegExp(`^\\| \`${member}\` \\| \\S`, 'm'));
    for (const reason of rootReasons) assert.match(page('conditions'), new RegExp(`^\\| \`${reason}\` \\| .`, 'm'));
  });
});

test('the reference lists every annotation and every label', () => {
  for (const name of [...Object.values(annotations), ...Object.values(labels)])
    assert.match(page('annotations'), new RegExp(`^\\| \`${name}\` \\| .`, 'm'), name);
});

test('the reference of metrics lists every reason to issue', () => {
  for (const reason of issueReasons) assert.match(page('metrics'), new RegExp(`^\\| \`${reason}\` \\| .`, 'm'));
});

test('the reference of flags lists every flag that the operator takes', () => {
  const listed = flagsIn(usage).map(({ flag }) => flag.split(' ')[0]?.replace(/^--(no-)?/, ''));
  assert.deepEqual(new Set(listed), new Set(Object.keys(flagTypes)));
  assert.equal(readConfig(['--help'], {}), 'help');
});

describe('doc comments', () => {
  const source = `export type Reason =
  /**
   * All is well,
   * for now.
   * @action Sleep.
   */
  | 'Fine'
  /** It is not. */
  | 'Bad';
`;

  test('are read as the meaning and the action of each member', () => {
    assert.deepEqual(unionMembers(source, 'Reason'), [
      { name: 'Fine', meaning: 'All is well, for now.', action: 'Sleep.' },
      { name: 'Bad', meaning: 'It is not.', action: '' },
    ]);
  });

  test('must be there for every member', () => {
    assert.throws(() => unionMembers(source.replace('/** It is not. */', ''), 'Reason'), /Bad has no doc comment/);
    assert.throws(() => unionMembers(source, 'Other'), /there is no Other/);
  });

  test('of constants name the value', () => {
    const constants = 'export const names = {\n  /** The first. */\n  first: `${group}/first`,\n} as const;\n';
    assert.deepEqual(constantMembers(constants, 'names', 'example.com'), [
      { name: 'example.com/first', meaning: 'The first.', action: '' },
    ]);
  });
});
