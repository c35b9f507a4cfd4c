import { apiVersion, defaultAuthorityName } from '../../api/constants.ts';
import type { AuthorityManifest } from '../../api/manifest.ts';
import {
  backoffMs,
  type GuardedClient,
  isKubeError,
  type KubeClient,
  type Log,
  type Store,
  sleep,
} from '../../kube/index.ts';
import type { AuthorityRecord } from '../../plan/index.ts';
import { authorityRecord, authorities as authorityResource } from '../objects/resources.ts';

export interface InitialAuthoritiesOptions {
  readonly client: GuardedClient & Pick<KubeClient, 'create'>;
  readonly authorities: Pick<Store<AuthorityRecord>, 'size' | 'has' | 'observe'>;
  /** The authorities to create. */
  readonly manifests: readonly AuthorityManifest[];
  /** Create the MtlsAuthority `default` if `manifests` is empty and the cluster has no authority. */
  readonly createDefault: boolean;
  readonly log: Log;
}

const defaultAuthority: AuthorityManifest = {
  apiVersion,
  kind: 'MtlsAuthority',
  metadata: { name: defaultAuthorityName },
  spec: { secretName: 'mtls-root', root: {} },
};

const retry = { baseMs: 2000, maxMs: 300_000 };
/** Short, because the controllers start only after the first attempt. */
const timeoutMs = 5000;

/**
 * Creates the authorities of --authorities-file and of --create-default-authority at the beginning of a term. It never changes
 * an authority that exists, and does not create an authority again that is deleted during the term.
 */
export class InitialAuthorities {
  readonly #options: InitialAuthoritiesOptions;
  /** The authorities that have existed in this term. */
  readonly #done = new Set<string>();
  #attempts = 0;

  constructor(options: InitialAuthoritiesOptions) {
    this.#options = options;
  }

  /** Makes one attempt for each missing authority. Returns false if one of them failed and the caller has to retry. */
  async create(signal: AbortSignal): Promise<boolean> {
    this.#attempts += 1;
    const results = await Promise.all(this.#missing().map((manifest) => this.#createOne(manifest, signal)));
    return results.every((isDone) => isDone);
  }

  /** Retries until every authority exists or the signal aborts. */
  async createLater(signal: AbortSignal): Promise<void> {
    do await sleep(backoffMs(this.#attempts - 1, retry), signal);
    while (!signal.aborted && !(await this.create(signal)));
  }

  #missing(): readonly AuthorityManifest[] {
    const { authorities, manifests, createDefault } = this.#options;
    const isDefaultWanted = createDefault && manifests.length === 0 && authorities.size === 0;
    const wanted = isDefaultWanted ? [defaultAuthority] : manifests;
    for (const { metadata } of wanted) if (authorities.has(metadata.name)) this.#done.add(metadata.name);
    return wanted.filter(({ metadata }) => !this.#done.has(metadata.name));
  }

  async #createOne(manifest: AuthorityManifest, signal: AbortSignal): Promise<boolean> {
    const { client, authorities, log } = this.#options;
    const { name } = manifest.metadata;
    if (signal.aborted) return true;
    try {
      // The type of a served object includes the defaults, which the API server adds.
      const served = manifest as unknown as Parameters<typeof authorityRecord>[0];
      authorities.observe(authorityRecord(await client.create(authorityResource, served, { signal, timeoutMs })));
      log.info('created an authority', { authority: name });
    } catch (error) {
      if (isKubeError(error, 'Aborted')) return true;
      if (!isKubeError(error, 'AlreadyExists')) {
        log.warn('could not create an authority; the operator retries', { authority: name, error, ...adviceOn(error) });
        return false;
      }
    }
    this.#done.add(name);
    return true;
  }
}

/** What a person has to do before a retry can succeed. */
function adviceOn(error: unknown): { readonly advice?: string } {
  if (isKubeError(error, 'Forbidden'))
    return {
      advice: 'allow the operator to create mtlsauthorities.mtls-operator.io, or create the authority yourself',
    };
  if (isKubeError(error, 'Invalid', 'BadRequest'))
    return {
      advice:
        'correct the field and restart the operator, or change the policy that the error names, or create the authority yourself',
    };
  return {};
}
