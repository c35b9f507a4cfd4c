const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** True for a DNS subdomain (RFC 1123), which the names of most Kubernetes objects are. */
export const isObjectName = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= 253 && subdomain.test(value);
