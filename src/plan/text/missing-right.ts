import { joinShortened } from './message-text.ts';

/** What to do when the operator may not read Secrets or ConfigMaps in watched namespaces. */
export const namespacedRightHint = (...namespaces: readonly string[]): string =>
  `create the Role and RoleBinding of the operator in ${joinShortened(namespaces)} (chart: watchNamespaces), or take the namespace out of --watch-namespaces`;

/** What to do when the operator may not read the labels of watched namespaces. */
export const labelsRightHint = (...namespaces: readonly string[]): string =>
  `grant the operator list and watch on namespaces with the resourceNames ${joinShortened(namespaces)}`;
