/** The kinds of failures of a call. Callers and tests compare the code; it is also the value of the metric label. */
export type KubeErrorCode =
  /** The kubeconfig, context, cluster or credentials are missing or invalid. */
  | 'Configuration'
  /** 400, and every other 4xx without its own code. */
  | 'BadRequest'
  | 'Unauthorized'
  | 'Forbidden'
  | 'NotFound'
  | 'AlreadyExists'
  /** 409: a resourceVersion or UID precondition failed. */
  | 'Conflict'
  /** 410: the resourceVersion or continue token has expired. The caller must list again. */
  | 'Gone'
  /** 422: validation, a CEL rule or an admission policy refused the object. */
  | 'Invalid'
  | 'TooManyRequests'
  | 'ServerError'
  /** The deadline of the call or of the server (408, 504) is over. */
  | 'Timeout'
  /** The connection failed or broke. */
  | 'Network'
  /** The caller's signal aborted the call. */
  | 'Aborted'
  /** The answer does not follow the protocol. */
  | 'Malformed';

/** The fields of metav1.Status that the client reads. */
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

/** The only error that the client throws. Its message never contains a request body, a header or a credential. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  readonly code: KubeErrorCode;
  /** The HTTP status, if there was an answer. */
  declare readonly status?: number;
  /** Status.reason of the API server, for instance `NotFound` or `Expired`. */
  declare readonly reason?: string;
  /** How long the server asks the client to wait, in milliseconds. */
  declare readonly retryAfterMs?: number;
  /** True for a Forbidden because the namespace is being deleted. A retry cannot succeed. */
  readonly namespaceTerminating: boolean;
  /** True if the write may or may not have happened. The caller must read the object again. */
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

/** Returns whether `error` is a KubeError, with one of `codes` if any are passed. */
export function isKubeError(error: unknown, ...codes: KubeErrorCode[]): error is KubeError {
  return error instanceof KubeError && (codes.length === 0 || codes.includes(error.code));
}

// Enough for the message of a CEL rule with its field path. Other messages of the API server can be as long as the object.
const maxMessageLength = 500;

/**
 * The error for an answer with an error status. `write` is true if the request can have changed an object. `retryAfterMs` is the
 * value of the header.
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
    // The API server sends a 503 with Retry-After before it processes the request. Any other 5xx can follow the write.
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
