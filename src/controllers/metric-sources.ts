import type { Condition } from '../api/types.ts';
import { commonValidity, pathOf } from '../pki/index.ts';
import { conditionOf, maxRevocations, overdueAt, rootRenewalTime, rotationPhases } from '../plan/index.ts';
import type { MetricSources } from '../telemetry/metrics.ts';
import type { Samples } from '../telemetry/mirrored-gauge.ts';
import type { RuntimeSources } from '../telemetry/runtime-metrics.ts';
import type { ControllerState } from './leader-term.ts';
import type { Operator } from './operator.ts';

/** The values of the gauges. They are read from the operator's caches at each scrape. */
export function metricSources(operator: Operator, now: () => Date): MetricSources {
  const { certificates, authorities } = operator.caches;
  /** A condition of the authorities whose spec requests what it is about. */
  function* whereRequested(type: 'TrustPublished' | 'AdditionalRootsAccepted' | 'PodCertificatesServed'): Samples {
    for (const { name, status } of authorities.values()) {
      const condition = conditionOf(status, type);
      if (condition !== undefined && condition.reason !== 'NotRequested')
        yield { labels: [name], value: oneIfTrue(condition) };
    }
  }
  return {
    ...runtimeSources(operator),
    *certificates(): Samples {
      const counts = new Map<string, Map<string, number>>();
      for (const { status } of certificates.values()) {
        const { status: ready, reason } = conditionOf(status, 'Ready') ?? notSeen;
        const byReason = counts.get(ready) ?? new Map<string, number>();
        counts.set(ready, byReason.set(reason, (byReason.get(reason) ?? 0) + 1));
      }
      for (const [ready, byReason] of counts)
        for (const [reason, value] of byReason) yield { labels: [ready, reason], value };
    },
    *certificatesOverdue(): Samples {
      const isOverdue = overdueAt(now());
      let value = 0;
      for (const { status } of certificates.values()) if (isOverdue(status)) value += 1;
      yield { labels: [], value };
    },
    *certificateExpiry(): Samples {
      for (const { namespace, name, status } of certificates.values()) {
        for (const { role, notAfter } of status.secrets ?? [])
          yield { labels: [namespace, name, role], value: Date.parse(notAfter) / 1000 };
      }
    },
    *certificateRenewal(): Samples {
      for (const { namespace, name, status } of certificates.values()) {
        for (const { role, renewalTime } of status.secrets ?? [])
          yield { labels: [namespace, name, role], value: Date.parse(renewalTime) / 1000 };
      }
    },
    *certificateReady(): Samples {
      for (const { namespace, name, status } of certificates.values())
        yield { labels: [namespace, name], value: oneIfTrue(conditionOf(status, 'Ready')) };
    },
    *authorityReady(): Samples {
      for (const { name, status } of authorities.values())
        yield { labels: [name], value: oneIfTrue(conditionOf(status, 'Ready')) };
    },
    trustPublished: () => whereRequested('TrustPublished'),
    additionalRootsAccepted: () => whereRequested('AdditionalRootsAccepted'),
    podCertificatesServed: () => whereRequested('PodCertificatesServed'),
    *podCertificatesOfOldRoots(): Samples {
      for (const { name, status } of authorities.values()) {
        const old = (status.podCertificates?.roots ?? []).filter(
          ({ fingerprint }) => fingerprint !== status.activeRoot?.fingerprint,
        );
        if (old.length > 0)
          yield { labels: [name], value: Math.max(...old.map(({ notAfter }) => Date.parse(notAfter))) / 1000 };
      }
    },
    *rootExpiry(): Samples {
      for (const [authority, root] of operator.authorityStates.issuers())
        yield { labels: [authority], value: commonValidity(pathOf(root)).notAfter.getTime() / 1000 };
    },
    *rootRenewal(): Samples {
      for (const [name, { anchor }] of operator.authorityStates.issuers()) {
        const authority = authorities.get(name);
        const renewAt = authority === undefined ? undefined : rootRenewalTime(authority, anchor);
        if (renewAt !== undefined) yield { labels: [name], value: renewAt.getTime() / 1000 };
      }
    },
    *crlNextUpdate(): Samples {
      for (const [authority, { nextUpdate }] of operator.authorityStates.crls())
        yield { labels: [authority], value: nextUpdate.getTime() / 1000 };
    },
    *crlEntries(): Samples {
      for (const [authority, { entries }] of operator.authorityStates.crls())
        yield { labels: [authority], value: entries.total };
    },
    *crlEntriesLimit(): Samples {
      for (const [authority] of operator.authorityStates.crls()) yield { labels: [authority], value: maxRevocations };
    },
    *rotationPhase(): Samples {
      for (const [authority, { state }] of operator.term?.rotations ?? [])
        for (const phase of rotationPhases) yield { labels: [authority, phase], value: state.phase === phase ? 1 : 0 };
    },
    *rotationRemaining(): Samples {
      for (const [authority, { done, total }] of operator.term?.rotations ?? [])
        yield { labels: [authority], value: total - done };
    },
    *podCertificatesPending(): Samples {
      for (const [authority, groups] of operator.term?.pendingPodRequests ?? [])
        for (const { reason, count } of groups) yield { labels: [authority, reason], value: count };
    },
    *clockAhead(): Samples {
      const serverTime = operator.serverTime();
      if (serverTime !== undefined) yield { labels: [], value: (now().getTime() - serverTime.getTime()) / 1000 };
    },
    *unreadableNamespaces(): Samples {
      for (const { namespace, kind } of operator.caches.unreadable()) yield { labels: [namespace, kind], value: 1 };
    },
  };
}

/** The condition Ready of a resource that the operator has not seen yet. */
const notSeen = { status: 'Unknown', reason: 'Pending' };

const oneIfTrue = (condition: Condition | undefined): number => (condition?.status === 'True' ? 1 : 0);

function runtimeSources(operator: Operator): RuntimeSources {
  function* each(labelsOf: (name: string) => string[], valueOf: (controller: ControllerState) => number): Samples {
    for (const controller of operator.term?.controllers ?? [])
      yield { labels: labelsOf(controller.name), value: valueOf(controller) };
  }
  const ofQueue = (name: string): string[] => [name, name];
  const ofController = (name: string): string[] => [name];
  return {
    queueDepth: () => each(ofQueue, ({ queued }) => queued),
    unfinishedWork: () => each(ofQueue, ({ unfinishedSeconds }) => unfinishedSeconds),
    longestRunning: () => each(ofQueue, ({ longestRunningSeconds }) => longestRunningSeconds),
    activeWorkers: () => each(ofController, ({ activeWorkers }) => activeWorkers),
    maxWorkers: () => each(ofController, ({ maxWorkers }) => maxWorkers),
  };
}
