/** A line of the log after JSON.parse. */
export interface LoggedLine {
  readonly timestamp: string;
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** An error in a logged line, see `redact` in logger.ts. */
interface LoggedError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: unknown;
}

/** Most messages are shorter, so that the fields of most lines begin in one column. */
const messageWidth = 44;

/**
 * A line for people at a terminal: time, level, message, then the fields as `name=value`. The stack of an error follows on
 * lines of its own if the level is `error`.
 */
export function textLine({ timestamp, level, message, ...fields }: LoggedLine): string {
  const words = Object.entries(fields).map(([name, value]) => `${name}=${textOf(value)}`);
  const line = printable(
    `${timestamp} ${level.toUpperCase().padEnd(5)} ${message.padEnd(messageWidth)} ${words.join(' ')}`,
  );
  const stacks = level === 'error' ? Object.values(fields).flatMap(stackOf) : [];
  return [line.trimEnd(), ...stacks.map(printable)].join('\n');
}

function textOf(value: unknown): string {
  const text = isError(value) ? errorText(value) : value;
  return typeof text === 'string' && /^[^\s"=[\]{}]+$/.test(text) ? text : JSON.stringify(text);
}

function errorText({ name, message, code, cause }: LoggedError): string {
  const why = isError(cause) ? errorText(cause) : cause;
  return `${code ?? name}: ${message}${typeof why === 'string' ? `: ${why}` : ''}`;
}

function stackOf(value: unknown): readonly string[] {
  if (!isError(value)) return [];
  return [...(value.stack?.split('\n') ?? []), ...stackOf(value.cause)];
}

const isError = (value: unknown): value is LoggedError =>
  typeof value === 'object' && value !== null && 'name' in value && 'message' in value && 'stack' in value;

/** Escapes characters that a terminal interprets, and those that change the direction of the text. */
const printable = (text: string): string =>
  text.replaceAll(
    /[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
