/** One version in CHANGELOG.md. */
export interface ChangelogSection {
  readonly version: string;
  /** As YYYY-MM-DD; undefined for what has not been released. */
  readonly date: string | undefined;
  /** The text below the heading, without blank lines around it. */
  readonly text: string;
}

/** The sections of a changelog that follows Keep a Changelog, in their order: the newest first. */
export function changelogSections(changelog: string): ChangelogSection[] {
  return changelog
    .split(/^(?=## )/m)
    .filter((section) => section.startsWith('## '))
    .map((section) => {
      const [heading = '', ...lines] = section.split('\n');
      const { version, date } =
        /^## \[(?<version>[^\]]+)\](?: - (?<date>\d{4}-\d{2}-\d{2}))?\s*$/.exec(heading)?.groups ?? {};
      if (version === undefined) {
        throw new Error(`CHANGELOG.md has a heading that is neither [Unreleased] nor [X.Y.Z] - YYYY-MM-DD: ${heading}`);
      }
      const text = lines
        .filter((line) => !/^\[[^\]]+\]: /.test(line))
        .join('\n')
        .trim();
      return { version, date, text };
    });
}

/** A change, as Artifact Hub shows it. */
export interface Change {
  readonly kind: 'added' | 'changed' | 'deprecated' | 'removed' | 'fixed' | 'security';
  readonly description: string;
}

/** The entries of a section as one line each. Sub-headings that are not of Keep a Changelog are ignored. */
export function changesIn({ text }: ChangelogSection): Change[] {
  return text.split(/^### /m).flatMap((part) => {
    const [heading = '', ...lines] = part.split('\n');
    const kind = /^(added|changed|deprecated|removed|fixed|security)$/.exec(heading.trim().toLowerCase())?.[1];
    if (kind === undefined) return [];
    const entries = lines.join('\n').split(/^- /m).slice(1);
    return entries.map((entry) => ({ kind: kind as Change['kind'], description: oneLine(entry) }));
  });
}

/** The lines of an entry up to the next blank line, without marks of Markdown. */
const oneLine = (entry: string): string =>
  (entry.split(/\n\s*\n/)[0] ?? '')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/\[([^\]]+)\]\([^)]+\)/g, '$1')
    .replaceAll(/[`*]/g, '')
    .trim();

/** Markdown with one line for each paragraph and list item, since GitHub shows every line break of release notes. */
export function unwrapped(markdown: string): string {
  const lines: string[] = [];
  let isCode = false;
  for (const line of markdown.split('\n')) {
    const previous = lines.at(-1);
    const startsBlock = line.trim() === '' || /^\s*(#|[-*] |\d+\. |\||```|>)/.test(line);
    const canFollow = previous !== undefined && previous.trim() !== '' && !/^\s*(#|\||```)/.test(previous);
    if (!isCode && !startsBlock && canFollow) lines[lines.length - 1] = `${previous} ${line.trim()}`;
    else lines.push(line);
    if (/^\s*```/.test(line)) isCode = !isCode;
  }
  return lines.join('\n');
}
