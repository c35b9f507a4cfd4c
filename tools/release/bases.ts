/** The base images of the Dockerfile, by the name of their build argument. */
export interface Bases {
  readonly BUILD_IMAGE: string;
  readonly BASE_IMAGE: string;
}

/** The defaults of the Dockerfile. Throws if one is missing. */
export function basesOf(dockerfile: string): Bases {
  const read = (name: keyof Bases): string => {
    const value = new RegExp(`^ARG ${name}=(\\S+)$`, 'm').exec(dockerfile)?.[1];
    if (value === undefined) throw new Error(`the Dockerfile has no line ARG ${name}=IMAGE`);
    return value;
  };
  return { BUILD_IMAGE: read('BUILD_IMAGE'), BASE_IMAGE: read('BASE_IMAGE') };
}

/** Whether the reference names one image for ever. */
export const hasDigest = (reference: string): boolean => /@sha256:[0-9a-f]{64}$/.test(reference);

/** `reference` with this digest in addition to its tag. Throws if the digest is not one. */
export function withDigest(reference: string, digest: string): string {
  const pinned = `${reference}@${digest}`;
  if (!hasDigest(pinned)) throw new Error(`${reference} has no digest: the registry answered ${digest}`);
  return pinned;
}
