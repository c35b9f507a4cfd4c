import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { load } from 'js-yaml';

interface Schema {
  readonly type: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly maxProperties?: number;
  readonly items?: Schema;
  readonly maxItems?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly enum?: readonly string[];
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string }[];
}

const file = fileURLToPath(new URL('../../crds/mtlscertificates.yaml', import.meta.url));
const crd = load(readFileSync(file, 'utf8')) as {
  spec: { versions: { schema: { openAPIV3Schema: Schema } }[] };
};
const { spec = assert.fail() } = crd.spec.versions[0]?.schema.openAPIV3Schema.properties ?? {};

/** The largest size of a value in JSON: of its strings, whose total a rule may bound, and of everything around them. */
interface Size {
  readonly text: number;
  readonly around: number;
}

const sum = (sizes: readonly Size[]): Size => ({
  text: sizes.reduce((total, { text }) => total + text, 0),
  around: sizes.reduce((total, { around }) => total + around, 0),
});
const times = ({ text, around }: Size, count: number): Size => ({ text: text * count, around: around * count });
const bytes = ({ text, around }: Size): number => text + around;

/** How many bytes a character can have in JSON: six for a control character, four for others outside of ASCII. */
function bytesPerCharacter({ pattern, 'x-kubernetes-validations': rules = [] }: Schema): number {
  const matched = pattern ?? rules.map(({ rule }) => rule).find((rule) => /matches|isIP/.test(rule));
  if (matched === undefined) return 6;
  // A negated character class also matches characters outside of ASCII.
  return matched.includes('[^') ? 4 : 1;
}

/** The bound in a rule for the total number of characters of some fields; undefined for another rule. */
const totalIn = (rule: string): number | undefined => {
  const [, total] = /sum\(\)(?: : 0\))? <= (\d+)$/.exec(rule.trim()) ?? [];
  return total === undefined ? undefined : Number(total);
};

function largest(schema: Schema, path: string): Size {
  const { type, items, properties = {}, additionalProperties } = schema;
  const rules = (schema['x-kubernetes-validations'] ?? []).map(({ rule }) => rule);
  const total = rules.map(totalIn).find((value) => value !== undefined);
  switch (type) {
    case 'boolean':
    case 'integer':
      return { text: 0, around: 12 };
    case 'string': {
      const longest = schema.enum?.reduce((most, value) => Math.max(most, value.length), 0);
      const { maxLength = longest ?? assert.fail(`${path} has no maxLength`) } = schema;
      return { text: maxLength * (longest === undefined ? bytesPerCharacter(schema) : 1), around: 3 };
    }
    case 'array': {
      const { maxItems = assert.fail(`${path} has no maxItems`) } = schema;
      const size = times(largest(items ?? assert.fail(path), `${path}[]`), maxItems);
      const widest = Math.max(...Object.values(items?.properties ?? {}).map(bytesPerCharacter), 1);
      const text = Math.min(size.text, total === undefined ? size.text : total * widest);
      return { text, around: size.around + 3 };
    }
    case 'object': {
      if (additionalProperties !== undefined) {
        const { maxProperties = assert.fail(`${path} has no maxProperties`) } = schema;
        const characters = total ?? assert.fail(`the keys of ${path} have no bound`);
        return { text: characters * bytesPerCharacter(additionalProperties), around: maxProperties * 6 + 3 };
      }
      const sizes = Object.entries(properties).map(
        ([name, field]) => [name, field, largest(field, `${path}.${name}`)] as const,
      );
      const together = rules.find((rule) => totalIn(rule) !== undefined) ?? '';
      const bounded = sizes.filter(([name]) => together.includes(`self.${name}.map(`));
      const others = sizes.filter((one) => !bounded.includes(one));
      const widest = Math.max(...bounded.map(([, { items: item }]) => bytesPerCharacter(item ?? spec)), 1);
      const free = sum(bounded.map(([, , size]) => size));
      const fields = Object.keys(properties).reduce((length, name) => length + name.length + 4, 2);
      const inBounds = {
        text: total === undefined ? free.text : Math.min(free.text, total * widest),
        around: free.around,
      };
      return sum([inBounds, ...others.map(([, , size]) => size), { text: 0, around: fields }]);
    }
  }
}

test('the schema limits the spec of an MtlsCertificate to 64 KiB', (t) => {
  const size = bytes(largest(spec, 'spec'));
  for (const [name, field] of Object.entries(spec.properties ?? {})) {
    t.diagnostic(`${name}: ${bytes(largest(field, name))} bytes`);
  }
  t.diagnostic(`spec: ${size} bytes`);
  assert.ok(size <= 64 * 1024, `${size} bytes`);
});
