import { apiVersion } from '../../api/constants.ts';
import { isKubeError, type KubeClient, keyOf, type Log, type Store, sleep } from '../../kube/index.ts';
import type { CertificateRecord } from '../../plan/index.ts';
import { certificates as certificateResource } from '../objects/resources.ts';

/** The Service of the metrics server, and the authority that issues its certificate. */
export interface MetricsService {
  readonly name: string;
  readonly authority: string;
}

export interface MetricsCertificateOptions {
  readonly client: Pick<KubeClient, 'create'>;
  readonly certificates: Pick<Store<CertificateRecord>, 'has'>;
  /** The operator's namespace. */
  readonly namespace: string;
  readonly service: MetricsService;
  readonly log: Log;
  /** How often to check that the resource exists, in milliseconds. Default: a minute. */
  readonly intervalMs?: number | undefined;
}

/** The name of the MtlsCertificate of a metrics server. */
export const metricsCertificateName = (service: string): string => `${service}-metrics`;

/**
 * Creates the MtlsCertificate of the operator's own metrics server while it does not exist. It never changes one that exists: a
 * person may have changed it. Without a change it sends no request.
 */
export class MetricsCertificate {
  readonly #options: MetricsCertificateOptions;

  constructor(options: MetricsCertificateOptions) {
    this.#options = options;
  }

  /** Runs until the signal aborts. */
  async keep(signal: AbortSignal): Promise<void> {
    const { intervalMs = 60_000 } = this.#options;
    while (!signal.aborted) {
      await this.#create(signal);
      await sleep(intervalMs, signal);
    }
  }

  async #create(signal: AbortSignal): Promise<void> {
    const { client, certificates, namespace, service, log } = this.#options;
    const metadata = { namespace, name: metricsCertificateName(service.name) };
    if (certificates.has(keyOf(metadata))) return;
    const spec = { authorityRef: { name: service.authority }, server: { service: service.name } };
    try {
      // The type of a served object includes the defaults, which the API server adds.
      const manifest = { apiVersion, kind: 'MtlsCertificate', metadata, spec };
      await client.create(certificateResource, manifest as never, { signal });
      log.info('created the certificate of the metrics server', metadata);
    } catch (error) {
      if (isKubeError(error, 'Aborted', 'AlreadyExists')) return;
      log.warn('could not create the certificate of the metrics server; the operator retries', { ...metadata, error });
    }
  }
}
