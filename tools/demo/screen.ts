import { styleText } from 'node:util';

/** A line of a live view. */
export interface Row {
  readonly state: 'good' | 'waiting' | 'bad';
  readonly text: string;
}

/** A part of the output that is redrawn until it ends. Its last state stays visible. */
export interface LiveView {
  end(): void;
}

/** The demo's output. A terminal redraws changes; otherwise each change is a new line. */
export interface Screen {
  title(text: string): void;
  /** Begins a numbered step. */
  step(title: string): void;
  /** Something that the demo has verified. */
  fact(text: string): void;
  note(text?: string): void;
  /** A command that the demo runs, or that the user can run. */
  command(text: string): void;
  /** An error. */
  failure(text: string): void;
  /** Waits for `work`. After two seconds, shows `what` and the elapsed time. */
  during<T>(what: string, work: Promise<T>): Promise<T>;
  /** Shows rows that change. Nothing else may be printed until the view ends. */
  live(rows: () => readonly Row[]): LiveView;
}

/** Columns. */
const WIDEST = 100;
const INDENT = '   ';
const MARKS = { good: '✓', waiting: '·', bad: '✗' } as const;
const STYLES = { good: 'green', waiting: 'yellow', bad: 'red' } as const;

export function createScreen(out: NodeJS.WriteStream): Screen {
  let steps = 0;
  const paint = (style: Parameters<typeof styleText>[0], text: string): string =>
    styleText(style, text, { stream: out });
  const print = (line: string): void => void out.write(`${line}\n`);
  const marked = ({ state, text }: Row): string => `${INDENT}${paint(STYLES[state], MARKS[state])} ${fit(out, text)}`;

  function live(rows: () => readonly Row[]): LiveView {
    let shown: readonly string[] = [];
    const draw = (): void => {
      const lines = rows().map(marked);
      if (out.isTTY) {
        const up = shown.length > 0 ? `\x1b[${shown.length}A` : '';
        if (lines.join('\n') !== shown.join('\n')) out.write(`${up}\x1b[J${lines.map((line) => `${line}\n`).join('')}`);
      } else {
        for (const line of lines) if (!shown.includes(line)) print(line);
      }
      shown = lines;
    };
    draw();
    const timer = setInterval(draw, 200);
    return {
      end() {
        clearInterval(timer);
        draw();
      },
    };
  }

  async function during<T>(what: string, work: Promise<T>): Promise<T> {
    const started = performance.now();
    let next = 2;
    const timer = setInterval(
      () => {
        const seconds = Math.floor((performance.now() - started) / 1000);
        if (seconds < next) return;
        // A terminal erases the line again. Elsewhere it stays, so it is printed less often.
        next = out.isTTY ? seconds + 1 : Math.max(seconds, next) + 10;
        const text = fit(out, `· ${what}, ${seconds} s`);
        if (out.isTTY) out.write(`\r\x1b[2K${INDENT}${paint('yellow', text)}`);
        else print(`${INDENT}${text}`);
      },
      out.isTTY ? 250 : 1000,
    );
    try {
      return await work;
    } finally {
      clearInterval(timer);
      if (out.isTTY) out.write('\r\x1b[2K');
    }
  }

  return {
    title: (text) => print(paint('bold', text)),
    step: (title) => print(`\n${paint('bold', `${++steps}  ${title}`)}`),
    fact: (text) => print(marked({ state: 'good', text })),
    note: (text = '') => print(text === '' ? '' : `${INDENT}${text}`),
    command: (text) => print(`${INDENT}${paint('cyan', `$ ${text}`)}`),
    failure: (text) => print(`\n${paint('red', `✗ ${text}`)}`),
    during,
    live,
  };
}

/** Truncates a text so that it fits one line with mark and indent: a redraw counts lines. */
function fit(out: NodeJS.WriteStream, text: string): string {
  const width = Math.min(out.columns ?? WIDEST, WIDEST) - INDENT.length - 2;
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}
