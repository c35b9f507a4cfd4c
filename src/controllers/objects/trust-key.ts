/**
 * The key of a target in the queue of the trust controller: authority and namespace, the latter empty for the cluster. The
 * names of objects hold no slash.
 */
export const trustKey = (authority: string, namespace: string): string => `${authority}/${namespace}`;
