/**
 * True when the pattern matches the text. Each `*` stands for one or more letters, digits, dashes and underscores. Any
 * other character could turn the text into another kind of name: a host, an address, a list of attributes.
 */
export function matchesWildcard(pattern: string, text: string): boolean {
  // The prefixes of the text, by length, that match the part of the pattern read so far. A backtracking matcher could take
  // exponential time.
  let reached = new Set([0]);
  for (const part of pattern) {
    const next = new Set<number>();
    for (const start of reached) {
      if (part !== '*') {
        if (text.startsWith(part, start)) next.add(start + part.length);
        continue;
      }
      for (let end = start; /^[A-Za-z0-9_-]$/.test(text.charAt(end)) && !next.has(end + 1); end += 1) next.add(end + 1);
    }
    reached = next;
  }
  return reached.has(text.length);
}

/** Kubernetes reserves users and groups that begin with `system:`. The group system:masters may do everything. */
export const isSystemName = (text: string): boolean => text.normalize('NFKC').toLowerCase().startsWith('system:');

/** False if the name begins with `system:` and the pattern does not, so that no `*` stands for a part of that prefix. */
export const mayMatchSystemName = (pattern: string, name: string): boolean =>
  !isSystemName(name) || isSystemName(pattern);
