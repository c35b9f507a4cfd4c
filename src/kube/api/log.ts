/** Values that go with a message. Never key material, request bodies or headers. */
export type LogFields = Readonly<Record<string, unknown>>;

/** The logger this folder writes to; the program decides what stands behind it. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

const ignore = (): void => {};

/** A log that keeps nothing: the default where a log is optional. */
export const silentLog: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
