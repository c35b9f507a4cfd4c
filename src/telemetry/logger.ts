import { inspect } from 'node:util';
import { createLogger, format, type Logger, transports } from 'winston';

/** Levels, most important first. */
export const logLevels = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof logLevels)[number];

const redacted = '[redacted]';
const secretKey = /^(data|stringData|tls\.key|.*(password|passphrase|token|authorization|privatekey|credential).*)$/i;
const privateKeyPem = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|$)/g;

/** A logger that writes JSON lines to standard output, and no key material at any level. */
export function createLog(level: LogLevel): Logger {
  return createLogger({
    level,
    format: format.combine(format.timestamp(), format.json({ replacer: redact })),
    transports: [new transports.Console({ stderrLevels: [] })],
  });
}

/**
 * A JSON replacer: takes out what is named like a secret, what looks like a private key, and bytes; an Error becomes its
 * name, message, code and cause, but not the properties that libraries hang on it (requests, headers, bodies).
 */
export function redact(key: string, value: unknown): unknown {
  if (secretKey.test(key) && value !== undefined && value !== null) return redacted;
  if (typeof value === 'string') return value.replaceAll(privateKeyPem, redacted);
  if (ArrayBuffer.isView(value) || isSerialisedBuffer(value)) return '[bytes]';
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Error) return describeError(value);
  if (typeof value === 'object' && value !== null && value.constructor?.name.endsWith('KeyObject')) return redacted;
  return value;
}

function describeError(error: Error): Record<string, unknown> {
  const { code } = error as { code?: unknown };
  return {
    name: error.name,
    message: error.message,
    ...(typeof code === 'string' ? { code } : {}),
    ...(error.stack === undefined ? {} : { stack: error.stack.split('\n').slice(1, 9).join('\n') }),
    ...(error.cause === undefined ? {} : { cause: error.cause instanceof Error ? error.cause : inspect(error.cause) }),
  };
}

/** Buffer.toJSON runs before a replacer sees the value. */
const isSerialisedBuffer = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer' && 'data' in value;
