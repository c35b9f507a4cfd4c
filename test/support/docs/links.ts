import { posix } from 'node:path';

/** A link of a Markdown page to another file of the repository. */
export interface PageLink {
  /** As the page writes it. */
  readonly target: string;
  /** The file or folder, from the root of the repository. */
  readonly file: string;
  readonly anchor: string | undefined;
  readonly isImage: boolean;
  /** The text of the link, or the alternative text of the image. */
  readonly text: string;
}

const LINK = /(!?)\[((?:[^[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)/g;

/** The links and images of a page, without those to other sites and without code. */
export function linksOf(page: string, markdown: string): readonly PageLink[] {
  return linksIn(withoutCode(markdown)).flatMap(({ bang, text, target }) => {
    if (/^(?:https?|mailto):/.test(target)) return [];
    const [path = '', anchor] = target.split('#');
    const file = path === '' ? page : posix.join(posix.dirname(page), decodeURIComponent(path)).replace(/\/$/, '');
    return [{ target, file, anchor, isImage: bang === '!', text }];
  });
}

function linksIn(prose: string): { bang: string; text: string; target: string }[] {
  return [...prose.matchAll(LINK)].flatMap(([, bang = '', text = '', target = '']) => [
    { bang, text, target },
    // An image can be the text of a link.
    ...linksIn(text),
  ]);
}

/** The anchors that GitHub gives to the headings of a page. Equal headings are numbered. */
export function anchorsOf(markdown: string): readonly string[] {
  const counts = new Map<string, number>();
  return [...withoutFences(markdown).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => {
    const anchor = heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_\- ]/gu, '')
      .replaceAll(' ', '-');
    const count = counts.get(anchor) ?? 0;
    counts.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  });
}

const withoutFences = (markdown: string): string => markdown.replaceAll(/^( *)```[^]*?^\1```/gm, '');

const withoutCode = (markdown: string): string => withoutFences(markdown).replaceAll(/`[^`\n]*`/g, '``');
