/** Every way a call can fail. The code is the metric label, and what callers and tests decide by. */
export type KubeErrorCode =
  /** No usable kubeconfig, context, cluster or credential source. */
  | 'Configuration'
  /** 400 and every other 4xx that has no code of its own. */
  | 'BadRequest'
  | 'Unauthorized'
  | 'Forbidden'
  | 'NotFound'
  | 'AlreadyExists'
  /** 409: a resourceVersion or uid precondition did not hold. */
  | 'Conflict'
  /** 410: the resourceVersion or continue token is no longer kept. List again. */
  | 'Gone'
  /** 422: validation, a CEL rule or an admission policy refused the object. */
  | 'Invalid'
  | 'TooManyRequests'
  | 'ServerError'
  /** The deadline of the call, or the server's own (408, 504), passed. */
  | 'Timeout'
  /** No connection, or it broke. */
  | 'Network'
  /** The caller's signal aborted the call. */
  | 'Aborted'
  /** The server's answer is not what the protocol says. */
  | 'Malformed';

/** The part of a metav1.Status that is read here. */
export interface Status {
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: {
    readonly retryAfterSeconds?: number;
    readonly causes?: readonly { readonly reason?: string }[];
  };
}

interface KubeErrorDetails {
  readonly cause?: unknown;
  readonly status?: number;
  readonly reason?: string;
  readonly retryAfterMs?: number;
  readonly namespaceTerminating?: boolean;
  readonly outcomeUnknown?: boolean;
}

/** The only error the client throws. Its message never holds a request body, a header or a credential. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  readonly code: KubeErrorCode;
  /** HTTP status, where there was an answer. */
  declare readonly status?: number;
  /** Status.reason as the API server gave it, such as `NotFound` or `Expired`. */
  declare readonly reason?: string;
  /** How long the server asks to wait, in milliseconds. */
  declare readonly retryAfterMs?: number;
  /** A Forbidden whose cause is that the namespace is being deleted: trying again cannot help. */
  readonly namespaceTerminating: boolean;
  /** A write that may or may not have happened: observe again before deciding. */
  readonly outcomeUnknown: boolean;

  constructor(code: KubeErrorCode, message: string, details: KubeErrorDetails = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined);
    this.code = code;
    if (details.status !== undefined) this.status = details.status;
    if (details.reason !== undefined) this.reason = details.reason;
    if (details.retryAfterMs !== undefined) this.retryAfterMs = details.retryAfterMs;
    this.namespaceTerminating = details.namespaceTerminating ?? false;
    this.outcomeUnknown = details.outcomeUnknown ?? false;
  }
}

/** Whether `error` is a KubeError, and one of `codes` if any are given. */
export function isKubeError(error: unknown, ...codes: KubeErrorCode[]): error is KubeError {
  return error instanceof KubeError && (codes.length === 0 || codes.includes(error.code));
}

// Long enough for a CEL rule's message with its field path; an apiserver message can otherwise be as long as the object.
const maxMessageLength = 500;

/**
 * Classifies an answer that is not a success. `write` says that the request could have changed something,
 * `retryAfterMs` is from the header.
 */
export function statusError(
  httpStatus: number,
  status: Status,
  options: { write: boolean; retryAfterMs?: number | undefined },
): KubeError {
  const code = codeOf(httpStatus, status.reason);
  const seconds = status.details?.retryAfterSeconds;
  const retryAfterMs = options.retryAfterMs ?? (seconds === undefined ? undefined : seconds * 1000);
  const causes = status.details?.causes ?? [];
  return new KubeError(code, cap(status.message ?? `the API server answered ${httpStatus}`), {
    status: httpStatus,
    ...(status.reason !== undefined && { reason: status.reason }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    namespaceTerminating: causes.some((cause) => cause.reason === 'NamespaceTerminating'),
    // A 503 that says when to come back was refused at the door; every other 5xx may have come after the write.
    outcomeUnknown: options.write && httpStatus >= 500 && !(httpStatus === 503 && options.retryAfterMs !== undefined),
  });
}

function codeOf(httpStatus: number, reason: string | undefined): KubeErrorCode {
  switch (httpStatus) {
    case 401:
      return 'Unauthorized';
    case 403:
      return 'Forbidden';
    case 404:
      return 'NotFound';
    case 409:
      return reason === 'AlreadyExists' ? 'AlreadyExists' : 'Conflict';
    case 410:
      return 'Gone';
    case 422:
      return 'Invalid';
    case 429:
      return 'TooManyRequests';
    case 408:
    case 504:
      return 'Timeout';
    default:
      if (reason === 'Expired' || reason === 'Gone') return 'Gone';
      if (reason === 'Timeout') return 'Timeout';
      return httpStatus >= 500 ? 'ServerError' : 'BadRequest';
  }
}

function cap(message: string): string {
  return message.length <= maxMessageLength ? message : `${message.slice(0, maxMessageLength)}…`;
}
