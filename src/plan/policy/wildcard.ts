/**
 * True when `*` in the pattern can stand for one or more letters, digits, dashes and underscores each, so that the whole
 * is the text. Any other character could make a name of another kind of it: a host, an address, a list of attributes.
 */
export function matchesWildcard(pattern: string, text: string): boolean {
  // Which beginnings of the text the pattern so far can be, by their length. A backtracking matcher would not end.
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

/** Kubernetes keeps users and groups that begin so for itself: system:masters may do everything. */
export const isSystemName = (text: string): boolean => text.normalize('NFKC').toLowerCase().startsWith('system:');

/** False for a pattern that would grant a system: name to a `*`. The beginning has to be written out. */
export const mayMatchSystemName = (pattern: string, name: string): boolean =>
  !isSystemName(name) || isSystemName(pattern);
