/**
 * The key of a target in the queue of the trust controller: authority and namespace. The namespace is empty for the cluster.
 * Names of objects contain no slash.
 */
export const trustKey = (authority: string, namespace: string): string => `${authority}/${namespace}`;
