/** A name in a source file, and what its doc comment says of it. */
export interface Documented {
  readonly name: string;
  /** The comment in one line, without its `@action`. */
  readonly meaning: string;
  /** The text of `@action`: how a person fixes the problem. Empty when the comment has none. */
  readonly action: string;
}

/**
 * The members of the union type `type NAME` of string literals.
 * @throws if the source has no such type, or if a member has no doc comment
 */
export function unionMembers(source: string, name: string): readonly Documented[] {
  const body = bodyOf(source, new RegExp(`^export type ${name} =\\n([^]*?);$`, 'm'), name);
  return members(body, /^ {2}\| '(\w+)'$/gm, name);
}

/**
 * The properties of the object `const NAME`, whose values are strings: `name` is the value, with `group` filled in.
 * @throws if the source has no such object, or if a property has no doc comment
 */
export function constantMembers(source: string, name: string, group: string): readonly Documented[] {
  const body = bodyOf(source, new RegExp(`^export const ${name} = \\{\\n([^]*?)^\\} as const;$`, 'm'), name);
  return members(body.replaceAll(`\${group}`, group), /^ {2}\w+: [`'](\S+)[`'],$/gm, name);
}

function bodyOf(source: string, pattern: RegExp, name: string): string {
  const body = pattern.exec(source)?.[1];
  if (body === undefined) throw new Error(`there is no ${name}`);
  return body;
}

function members(body: string, member: RegExp, owner: string): readonly Documented[] {
  let end = 0;
  return [...body.matchAll(member)].map((match) => {
    const comment = /\/\*\*([^]*?)\*\/\s*$/.exec(body.slice(end, match.index))?.[1];
    end = match.index + match[0].length;
    const [, name = ''] = match;
    if (comment === undefined) throw new Error(`${owner}: ${name} has no doc comment`);
    const [meaning = '', action = ''] = comment
      .replaceAll(/^\s*\* ?/gm, '')
      .split('@action')
      .map((text) => text.replaceAll(/\s+/g, ' ').trim());
    return { name, meaning, action };
  });
}
