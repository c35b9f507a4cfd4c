import type { KubeClient } from './client.ts';
import { isKubeError } from './kube-error.ts';
import { subjectAccessReviews, tokenReviews } from './resource.ts';

/** `unauthenticated`: the API server does not accept the token. `forbidden`: its user may not send the request. */
export type Access = 'allowed' | 'forbidden' | 'unauthenticated';

/** A request for a path that is no resource of the API, for example `get /metrics`. */
export interface NonResourceRequest {
  readonly verb: string;
  readonly path: string;
}

/** Both reviews together take at most twice this long. */
const timeoutMs = 3000;

/**
 * Asks the API server who the bearer of a token is, and whether that user may send the request (TokenReview and
 * SubjectAccessReview). The token must be valid for the audience of the API server.
 * @throws KubeError when the API server does not answer, or does not let the operator ask
 */
export async function reviewAccess(
  client: Pick<KubeClient, 'create'>,
  token: string,
  nonResourceAttributes: NonResourceRequest,
): Promise<Access> {
  const { status } = await ask(() => client.create(tokenReviews, { metadata, spec: { token } }, { timeoutMs }));
  const { username, uid, groups, extra } = status?.user ?? {};
  // The API server reports a token that it cannot check as not authenticated, with an error.
  if (status?.authenticated !== true || username === undefined) return 'unauthenticated';
  const spec = { user: username, uid, groups, extra, nonResourceAttributes };
  const review = await ask(() => client.create(subjectAccessReviews, { metadata, spec }, { timeoutMs }));
  return review.status?.allowed === true ? 'allowed' : 'forbidden';
}

/** The API server stores no reviews, so they have no name. */
const metadata = { name: '' };

/** A review changes nothing, so it is repeated when the connection breaks, for instance because it was idle for too long. */
async function ask<T>(send: () => Promise<T>): Promise<T> {
  try {
    return await send();
  } catch (error) {
    if (isKubeError(error, 'Network')) return send();
    throw error;
  }
}
