import { Writable } from 'node:stream';
import { createLogger, format, type Logger, transports } from 'winston';
import { type LoggedLine, textLine } from './text-line.ts';

/** The levels, most severe first. */
export const logLevels = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof logLevels)[number];

/** `json`: one object a line. `text`: for people at a terminal. */
export const logFormats = ['json', 'text'] as const;
export type LogFormat = (typeof logFormats)[number];

const redacted = '[redacted]';
const secretKey = /^(data|stringData|tls\.key|.*(password|passphrase|token|authorization|privatekey|credential).*)$/i;
const privateKeyPem = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|$)/g;
/** Base64 of any PEM, as in the data of a Secret. This also matches certificates; to redact them does no harm. */
const base64Pem = /LS0tLS1CRUdJTi[A-Za-z0-9+/=]*/g;

/** A logger that writes to standard output. It redacts key material at every level and in both formats. */
export function createLog(level: LogLevel, form: LogFormat): Logger {
  const json = format.json({ replacer: redact });
  return createLogger({
    level,
    format: format.combine(format.timestamp(), json, ...(form === 'text' ? [asText] : [])),
    transports: [new transports.Stream({ stream: inBatches(process.stdout) })],
  });
}

/** winston's name for the text of a line. */
const lineSymbol = Symbol.for('message');

/** Reads the redacted JSON line, so that the text shows nothing that the JSON does not. */
const asText = format.printf((info) => textLine(JSON.parse(String(info[lineSymbol])) as LoggedLine));

/**
 * Writes the first line at once, and the lines that follow in the same turn of the event loop together in the next turn.
 * Each write to a pipe is a system call that waits for the reader, and a burst of certificates logs thousands of lines.
 */
export function inBatches(out: Pick<NodeJS.WritableStream, 'write'>): Writable {
  const send = (text: string, done: () => void): void => {
    out.write(text);
    setImmediate(done);
  };
  return new Writable({
    decodeStrings: false,
    write: (line: string, _, done) => send(line, done),
    writev: (lines, done) => send(lines.map(({ chunk }) => chunk as string).join(''), done),
  });
}

/**
 * A JSON replacer. It redacts fields whose name suggests a secret, text that looks like a private key, and bytes. It reduces an
 * Error to its name, message, code, stack and cause: libraries attach requests, headers and bodies to errors.
 */
export function redact(key: string, value: unknown): unknown {
  if (secretKey.test(key) && value !== undefined && value !== null) return redacted;
  if (typeof value === 'string') return value.replaceAll(privateKeyPem, redacted).replaceAll(base64Pem, redacted);
  if (ArrayBuffer.isView(value) || isSerialisedBuffer(value)) return '[bytes]';
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Error) return describeError(value);
  if (typeof value === 'object' && value !== null && value.constructor?.name.endsWith('KeyObject')) return redacted;
  return value;
}

/** How many causes of causes are logged. The limit also ends a cycle of causes. */
const deepestCause = 5;

function describeError(error: Error, depth = 0): Record<string, unknown> {
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  return {
    name: error.name,
    message: error.message,
    ...(typeof code === 'string' ? { code } : {}),
    ...(error.stack === undefined ? {} : { stack: framesOf(error.stack) }),
    ...(cause === undefined || depth === deepestCause ? {} : { cause: describeCause(cause, depth + 1) }),
  };
}

function describeCause(cause: unknown, depth: number): unknown {
  if (cause instanceof Error) return describeError(cause, depth);
  return typeof cause === 'string' ? cause : `[${typeof cause}]`;
}

/** The frames without the message, which may have several lines and is logged separately. */
const framesOf = (stack: string): string =>
  stack
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 8)
    .join('\n');

/** Matches a Buffer after Buffer.toJSON, which JSON.stringify calls before the replacer. */
const isSerialisedBuffer = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer' && 'data' in value;
