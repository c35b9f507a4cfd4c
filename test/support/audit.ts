import { readFileSync } from 'node:fs';

import type { TestCluster } from './cluster.ts';

/** A request in the API server's audit log, in the terms of RBAC. */
export interface AuditedRequest {
  readonly user: string;
  readonly verb: string;
  readonly group: string;
  /** With the subresource, as in a rule: `mtlscertificates/status`. */
  readonly resource: string;
  /** Empty for a cluster-scoped resource, and for a list or watch of all namespaces. */
  readonly namespace: string;
  /** Empty for a list, watch or create without a name. */
  readonly name: string;
  /** Whether the roles of the user allow the request. */
  readonly isAllowed: boolean;
  /** The HTTP status. */
  readonly status: number;
}

/** A line of the log: audit.k8s.io/v1 Event. */
interface AuditEvent {
  readonly auditID: string;
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly objectRef?: {
    readonly resource?: string;
    readonly subresource?: string;
    readonly apiGroup?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code?: number };
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The requests for resources that `auditedGroups` have sent to a test cluster, in the order of their ends. A watch counts at its start. */
export function auditedRequests({ auditLog }: TestCluster): readonly AuditedRequest[] {
  const text = readFileSync(auditLog, 'utf8');
  // The API server may be writing the last line.
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  const requests = new Map<string, AuditedRequest>();
  for (const line of lines) {
    if (line === '') continue;
    const { auditID, verb, user, objectRef, responseStatus, annotations } = JSON.parse(line) as AuditEvent;
    if (objectRef?.resource === undefined) continue;
    const { resource, subresource, apiGroup = '', namespace = '', name = '' } = objectRef;
    requests.set(auditID, {
      user: user.username,
      verb,
      group: apiGroup,
      resource: subresource === undefined ? resource : `${resource}/${subresource}`,
      // The object of a request for a namespace is in itself.
      namespace: resource === 'namespaces' ? '' : namespace,
      name,
      isAllowed: annotations?.['authorization.k8s.io/decision'] === 'allow',
      status: responseStatus?.code ?? 0,
    });
  }
  return [...requests.values()];
}
