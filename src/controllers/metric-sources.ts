import { commonValidity, pathOf } from '../pki/index.ts';
import { maxRevocations, rotationPhases } from '../plan/index.ts';
import type { MetricSources } from '../telemetry/metrics.ts';
import type { Sample } from '../telemetry/mirrored-gauge.ts';
import type { Operator } from './operator.ts';

/** The values of the gauges. They are read from the operator's caches at each scrape. */
export function metricSources(operator: Operator): MetricSources {
  const { certificates } = operator.caches;
  return {
    *certificateExpiry(): Iterable<Sample> {
      for (const { namespace, name, status } of certificates.values()) {
        for (const { role, notAfter } of status.secrets ?? []) {
          yield { labels: { namespace, name, role }, value: Date.parse(notAfter) / 1000 };
        }
      }
    },
    *certificateReady(): Iterable<Sample> {
      for (const { namespace, name, status } of certificates.values()) {
        const isReady = status.conditions?.some(
          (condition) => condition.type === 'Ready' && condition.status === 'True',
        );
        yield { labels: { namespace, name }, value: isReady === true ? 1 : 0 };
      }
    },
    *rootExpiry(): Iterable<Sample> {
      for (const [authority, root] of operator.authorityStates.issuers()) {
        yield { labels: { authority }, value: commonValidity(pathOf(root)).notAfter.getTime() / 1000 };
      }
    },
    *crlNextUpdate(): Iterable<Sample> {
      for (const [authority, { nextUpdate }] of operator.authorityStates.crls()) {
        yield { labels: { authority }, value: nextUpdate.getTime() / 1000 };
      }
    },
    *crlEntries(): Iterable<Sample> {
      for (const [authority, { entries }] of operator.authorityStates.crls())
        yield { labels: { authority }, value: entries.total };
    },
    *crlEntriesLimit(): Iterable<Sample> {
      for (const [authority] of operator.authorityStates.crls()) yield { labels: { authority }, value: maxRevocations };
    },
    *rotationPhase(): Iterable<Sample> {
      for (const [authority, { state }] of operator.term?.rotations ?? []) {
        for (const phase of rotationPhases)
          yield { labels: { authority, phase }, value: state.phase === phase ? 1 : 0 };
      }
    },
    *rotationRemaining(): Iterable<Sample> {
      for (const [authority, { done, total }] of operator.term?.rotations ?? [])
        yield { labels: { authority }, value: total - done };
    },
    *queueLength(): Iterable<Sample> {
      for (const [controller, value] of Object.entries(operator.term?.queueLengths ?? {}))
        yield { labels: { controller }, value };
    },
  };
}
