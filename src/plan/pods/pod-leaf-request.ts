import { podAnnotations } from '../../api/constants.ts';
import { type LeafProfile, namesOutsidePath, pathOf } from '../../pki/index.ts';
import type { ReadyAuthority } from '../certificate/authority-state.ts';
import { namesOfService } from '../certificate/leaf-request.ts';
import { evaluatePolicy, type PolicyScope } from '../policy/evaluate-policy.ts';
import { grantsDnsName, grantsFor } from '../policy/grant.ts';
import { dnsLabels, normaliseUri } from '../policy/name-normalisation.ts';
import { serviceNames, spiffeIdOf } from '../policy/own-names.ts';
import { joinShortened, truncate } from '../text/message-text.ts';
import type { ObservedPod } from './pod-request.ts';
import type { PodNames } from './user-annotations.ts';

/** Why a pod may not have the certificate that it requests. */
export interface PodRefusal {
  readonly reason: 'NamesDenied' | 'NameConstrained' | 'InvalidUnverifiedUserAnnotations';
  readonly message: string;
}

/**
 * The profile of a pod's certificate: the SPIFFE ID of its ServiceAccount, the names of its Services, and granted names. The policy
 * is that of the peer of an MtlsCertificate, except that the names of a Service need the Service.
 */
export function podLeafRequest(
  names: PodNames,
  pod: ObservedPod,
  { authority, scope, durationMs }: { authority: ReadyAuthority; scope: PolicyScope; durationMs: number },
): { readonly profile: LeafProfile } | PodRefusal {
  const ofServices = names.services.flatMap((service) => namesOfService(service, 'peer', scope));
  const spiffeId = normaliseUri(spiffeIdOf(pod.serviceAccountName, scope));
  const dnsNames = [...ofServices, ...names.dnsNames].map((name) => dnsLabels(name)?.join('.'));
  const unusable = dnsNames.some((name) => name === undefined);
  if (spiffeId === undefined || unusable) {
    const what = spiffeId === undefined ? `ServiceAccount ${pod.serviceAccountName}` : 'a Service in the annotation';
    return { reason: 'InvalidUnverifiedUserAnnotations', message: `the name of ${what} cannot be in a certificate` };
  }
  const requested = {
    role: 'peer' as const,
    subject: {},
    names: {
      dnsNames: [...new Set(dnsNames.filter((name) => name !== undefined))],
      ipAddresses: names.ipAddresses,
      uris: [spiffeId],
      emailAddresses: [],
      otherNames: [],
    },
  };
  const ungranted = withoutService(names, pod, scope);
  // The policy would refuse these names once more, in words for the owner of an MtlsCertificate.
  const others = { ...requested.names, dnsNames: requested.names.dnsNames.filter((name) => !ungranted.includes(name)) };
  const denied = [
    ...(ungranted.length === 0 ? [] : [ungrantedMessage(ungranted, scope)]),
    ...evaluatePolicy({ ...requested, names: others, usages: [], durationMs }, scope),
  ];
  if (denied.length > 0) return { reason: 'NamesDenied', message: joinShortened([...new Set(denied)], '; ') };
  const profile = { ...requested, durationMs };
  const excluded = namesOutsidePath(pathOf(authority), profile.names, profile.subject);
  if (excluded.length > 0) {
    const message = `the name constraints of the root exclude ${joinShortened(excluded.map((name) => truncate(name)))}`;
    return { reason: 'NameConstrained', message };
  }
  return { profile };
}

/**
 * DNS names of Services that the pod requests without the Service. A grant allows any name. Without one, a pod may have the name
 * that the cluster's DNS gives it below a Service that selects it, as pods of a StatefulSet have.
 */
function withoutService({ services, dnsNames }: PodNames, { hostname }: ObservedPod, scope: PolicyScope): string[] {
  const grants = grantsFor(scope.issuance, scope.labels);
  const own = new Set(
    services.flatMap((service) => {
      const names = serviceNames(service, 'peer', scope);
      return [...names, ...names.map((name) => `${hostname}.${name}`)];
    }),
  );
  return dnsNames.filter((name) => !own.has(name) && !grantsDnsName(grants, name));
}

function ungrantedMessage(dnsNames: readonly string[], { authority }: PolicyScope): string {
  const quoted = joinShortened(dnsNames.map((name) => truncate(JSON.stringify(name))));
  return (
    `no entry of issuance.allow of MtlsAuthority ${authority} grants the DNS names ${quoted} in ${podAnnotations.dnsNames}; ` +
    `list a Service that selects the pod in ${podAnnotations.services} instead, or ask an administrator for a grant`
  );
}
