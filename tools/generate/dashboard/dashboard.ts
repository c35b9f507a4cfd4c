import {
  additionalRoots,
  authoritiesNotReady,
  crlEntries,
  crls,
  phases,
  remaining,
  roots,
  rotations,
  trust,
} from './authority-panels.ts';
import {
  byNamespace,
  firstToExpire,
  issued,
  nextToRenew,
  notReady,
  notReadyNames,
  overdue,
  ready,
  reasons,
  renewals,
} from './certificate-panels.ts';
import { dashboardJson, type Panel, type Row, type Variable } from './grafana.ts';
import { deniedPods, podCertificates, podTime, servedPods, waitingPods } from './pod-panels.ts';
import { own } from './promql.ts';
import {
  alerts,
  cpu,
  depth,
  eventLoop,
  failedRequests,
  leaderOverTime,
  leaders,
  memory,
  queueTime,
  reconciles,
  reconcileTime,
  replicas,
  requests,
  versions,
  watchErrors,
  workers,
} from './runtime-panels.ts';

const variables: readonly Variable[] = [
  { name: 'job', label: 'Job', query: 'label_values(mtls_operator_build_info, job)', isMulti: false },
  {
    name: 'namespace',
    label: 'Namespace of certificates',
    query: `label_values(mtls_operator_certificate_ready{${own}}, namespace)`,
    isMulti: true,
  },
  {
    name: 'authority',
    label: 'MtlsAuthority',
    query: `label_values(mtls_operator_authority_ready{${own}}, authority)`,
    isMulti: true,
  },
];

const line = (height: number, ...panels: readonly (readonly [number, Panel])[]) => ({ height, panels });

const rows: readonly Row[] = [
  {
    title: 'What is wrong',
    lines: [
      line(4, [4, leaders], [4, replicas], [4, authoritiesNotReady], [4, notReady], [4, overdue], [4, rotations]),
      line(8, [24, alerts]),
      line(8, [14, reasons], [10, notReadyNames]),
    ],
  },
  {
    title: 'Expiry',
    lines: [
      line(9, [12, firstToExpire], [12, nextToRenew]),
      line(7, [6, roots], [6, crls], [6, crlEntries], [6, renewals]),
    ],
  },
  { title: 'Rotation of the root', lines: [line(7, [9, phases], [5, remaining], [5, trust], [5, additionalRoots])] },
  { title: 'Issuing', lines: [line(8, [8, issued], [8, ready], [8, byNamespace])] },
  {
    title: 'Certificates of pods',
    lines: [line(8, [5, podCertificates], [5, waitingPods], [5, deniedPods], [5, podTime], [4, servedPods])],
  },
  {
    title: 'Runtime',
    lines: [
      line(8, [8, reconciles], [8, reconcileTime], [8, queueTime]),
      line(8, [8, depth], [8, workers], [8, leaderOverTime]),
      line(8, [6, memory], [6, cpu], [6, eventLoop], [6, versions]),
    ],
  },
  { title: 'API server', lines: [line(8, [8, requests], [8, failedRequests], [8, watchErrors])] },
];

/** The text of files/dashboard.json. */
export const dashboardFile = (): string =>
  dashboardJson({
    uid: 'mtls-operator',
    title: 'mtls-operator',
    description: 'Certificates, roots and replicas of mtls-operator. Each panel says what is normal.',
    variables,
    rows,
  });
