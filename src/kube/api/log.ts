/** Structured values of a log line. Never key material, request bodies or headers. */
export type LogFields = Readonly<Record<string, unknown>>;

/** The logger of this folder. The program provides the implementation. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

const ignore = (): void => {};

/** A log that discards every line: the default where a log is optional. */
export const silentLog: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
