import { type MetricDescription, MetricRegistry } from './metric-registry.ts';
import type { Samples } from './mirrored-gauge.ts';
import { RuntimeMetrics, type RuntimeSources } from './runtime-metrics.ts';

/** The sources of gauges that are computed from the caches at each scrape. */
export interface MetricSources extends RuntimeSources {
  certificates(): Samples;
  certificatesOverdue(): Samples;
  certificateExpiry(): Samples;
  certificateRenewal(): Samples;
  certificateReady(): Samples;
  authorityReady(): Samples;
  trustPublished(): Samples;
  additionalRootsAccepted(): Samples;
  rootExpiry(): Samples;
  rootRenewal(): Samples;
  crlNextUpdate(): Samples;
  crlEntries(): Samples;
  crlEntriesLimit(): Samples;
  rotationPhase(): Samples;
  rotationRemaining(): Samples;
  unreadableNamespaces(): Samples;
  podCertificatesPending(): Samples;
  podCertificatesServed(): Samples;
  podCertificatesOfOldRoots(): Samples;
  clockAhead(): Samples;
}

export interface MetricsOptions {
  /** The version of the operator. */
  readonly version: string;
  /** Whether each certificate has series of its own, `mtls_operator_certificate_*`. */
  readonly perCertificate: boolean;
}

/** kubelet retries the mount of a pod after seconds, and requests are deleted after 15 minutes. */
const issueSeconds = [0.5, 1, 2, 5, 10, 30, 60, 300, 900];

/** The metrics of the operator. */
export class Metrics {
  readonly #options: MetricsOptions;
  readonly #registry = new MetricRegistry();
  /** The metrics that every operator has. */
  readonly runtime = new RuntimeMetrics(this.#registry);
  readonly issued = this.#registry.counter(
    'mtls_operator_issued_total',
    ['role', 'reason'],
    'Certificates issued, by the reason to issue them',
  );
  readonly podCertificatesIssued = this.#registry.counter(
    'mtls_operator_pod_certificates_issued_total',
    ['authority'],
    'Certificates issued to pods',
  );
  readonly podCertificatesDenied = this.#registry.counter(
    'mtls_operator_pod_certificates_denied_total',
    ['authority', 'reason'],
    'PodCertificateRequests that were denied, by reason',
  );
  readonly podCertificateSeconds = this.#registry.histogram(
    'mtls_operator_pod_certificate_issue_seconds',
    [],
    'Seconds from the creation of a PodCertificateRequest, which has whole seconds, until its certificate is issued',
    issueSeconds,
  );
  readonly watchErrors = this.#registry.counter(
    'mtls_operator_watch_errors_total',
    ['resource', 'code'],
    'Lists and watches that failed',
  );

  constructor(options: MetricsOptions) {
    this.#options = options;
    this.#registry
      .gauge('mtls_operator_build_info', ['version'], 'Always 1; version is the version of the operator')
      .set({ version: options.version }, 1);
  }

  /** Adds the gauges that are read from the caches at each scrape. */
  mirror(sources: MetricSources): void {
    const each: [name: string, labels: string[], help: string, samples: () => Samples][] = [
      [
        'certificate_expiry_seconds',
        ['namespace', 'name', 'role'],
        'Unix time at which a certificate expires',
        () => sources.certificateExpiry(),
      ],
      [
        'certificate_renewal_seconds',
        ['namespace', 'name', 'role'],
        'Unix time at which the renewal of a certificate is planned',
        () => sources.certificateRenewal(),
      ],
      [
        'certificate_ready',
        ['namespace', 'name'],
        '1 while the condition Ready of an MtlsCertificate is True, otherwise 0',
        () => sources.certificateReady(),
      ],
    ];
    const gauges: typeof each = [
      [
        'certificates',
        ['ready', 'reason'],
        'MtlsCertificates, by status and reason of the condition Ready',
        () => sources.certificates(),
      ],
      [
        'certificates_overdue',
        [],
        'MtlsCertificates with a certificate that is not renewed when a tenth of the time from its planned renewal to its expiry has passed',
        () => sources.certificatesOverdue(),
      ],
      ...(this.#options.perCertificate ? each : []),
      [
        'authority_ready',
        ['authority'],
        '1 while the condition Ready of an MtlsAuthority is True, otherwise 0',
        () => sources.authorityReady(),
      ],
      [
        'trust_published',
        ['authority'],
        '1 while the condition TrustPublished of an MtlsAuthority is True, otherwise 0; absent if it publishes no bundle',
        () => sources.trustPublished(),
      ],
      [
        'authority_additional_roots_accepted',
        ['authority'],
        '1 while the condition AdditionalRootsAccepted of an MtlsAuthority is True, otherwise 0; absent if it requests no additional roots',
        () => sources.additionalRootsAccepted(),
      ],
      [
        'root_expiry_seconds',
        ['authority'],
        'Unix time of the earliest expiry among the signing root and its intermediates',
        () => sources.rootExpiry(),
      ],
      [
        'root_renewal_seconds',
        ['authority'],
        'Unix time at which the operator starts a rotation of the root by itself; absent for a root that you brought',
        () => sources.rootRenewal(),
      ],
      [
        'crl_next_update_seconds',
        ['authority'],
        'Unix time of the earliest expiry among the CRLs of an authority; the operator renews a CRL 20 days before',
        () => sources.crlNextUpdate(),
      ],
      [
        'crl_entries',
        ['authority'],
        'Unexpired revoked certificates on the CRLs of an authority',
        () => sources.crlEntries(),
      ],
      [
        'crl_entries_limit',
        ['authority'],
        'The most revoked certificates that the CRLs of an authority can hold',
        () => sources.crlEntriesLimit(),
      ],
      [
        'rotation_phase',
        ['authority', 'phase'],
        '1 for the current phase of a rotation of the root, 0 for the other phases; absent without a rotation',
        () => sources.rotationPhase(),
      ],
      [
        'rotation_remaining',
        ['authority'],
        'Secrets and bundles that the phase of a rotation still waits for',
        () => sources.rotationRemaining(),
      ],
      [
        'unreadable_namespaces',
        ['namespace', 'resource'],
        '1 while the API server forbids to list or watch this resource in a namespace of --watch-namespaces, otherwise absent',
        () => sources.unreadableNamespaces(),
      ],
      [
        'pod_certificates_pending',
        ['authority', 'reason'],
        'PodCertificateRequests that wait, by reason',
        () => sources.podCertificatesPending(),
      ],
      [
        'pod_certificates_served',
        ['authority'],
        '1 while the condition PodCertificatesServed of an MtlsAuthority is True, otherwise 0; absent if it is no signer for pods',
        () => sources.podCertificatesServed(),
      ],
      [
        'pod_certificates_of_old_roots_expiry_seconds',
        ['authority'],
        'Unix time, rounded up, at which all certificates of pods issued by roots that no longer sign have expired; absent without such certificates',
        () => sources.podCertificatesOfOldRoots(),
      ],
      [
        'clock_ahead_seconds',
        [],
        'How far the clock of the operator is ahead of the clock of the API server, to about two seconds; negative if it is behind; absent before the first answer',
        () => sources.clockAhead(),
      ],
    ];
    for (const [name, labels, help, samples] of gauges)
      this.#registry.mirror({ name: `mtls_operator_${name}`, labels, help, samples });
    this.runtime.mirror(sources);
  }

  /** The metrics, without those of the Node.js process. */
  describe(): readonly MetricDescription[] {
    return this.#registry.descriptions;
  }

  /** The exposition format of Prometheus, in pieces, and its content type. */
  expose(): Promise<{ contentType: string; body: Iterable<string> }> {
    return this.#registry.expose();
  }
}
