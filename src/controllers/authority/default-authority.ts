import { apiVersion, defaultAuthorityName } from '../../api/constants.ts';
import { type GuardedClient, isKubeError, type KubeClient, type Log, type Store, sleep } from '../../kube/index.ts';
import type { AuthorityRecord } from '../../plan/index.ts';
import { authorityRecord, authorities as authorityResource } from '../objects/resources.ts';

export interface DefaultAuthorityOptions {
  readonly client: GuardedClient & Pick<KubeClient, 'create'>;
  readonly authorities: Pick<Store<AuthorityRecord>, 'size' | 'observe'>;
  readonly log: Log;
}

const retryMs = 2000;
/** Short, because the controllers start only after the first attempt. */
const timeoutMs = 5000;

/** Creates the MtlsAuthority `default` in a cluster that has no authority. */
export class DefaultAuthority {
  readonly #options: DefaultAuthorityOptions;

  constructor(options: DefaultAuthorityOptions) {
    this.#options = options;
  }

  /** Makes one attempt. Returns false if the API server failed and the caller has to retry. */
  async create(signal: AbortSignal): Promise<boolean> {
    const { client, authorities, log } = this.#options;
    if (authorities.size > 0 || signal.aborted) return true;
    const spec = { secretName: 'mtls-root', root: {} };
    const object = { apiVersion, kind: 'MtlsAuthority', metadata: { name: defaultAuthorityName }, spec };
    try {
      // The type of a served object includes the defaults, which the API server adds.
      const served = object as Parameters<typeof authorityRecord>[0];
      authorities.observe(authorityRecord(await client.create(authorityResource, served, { signal, timeoutMs })));
      log.info('created the default authority', { authority: defaultAuthorityName });
      return true;
    } catch (error) {
      if (isKubeError(error, 'AlreadyExists', 'Aborted')) return true;
      log.warn('could not create the default authority', { error });
      return false;
    }
  }

  /** Retries until the authority exists or the signal aborts. */
  async createLater(signal: AbortSignal): Promise<void> {
    do await sleep(retryMs, signal);
    while (!(await this.create(signal)));
  }
}
