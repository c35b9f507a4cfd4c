/** The parts of a PodCertificateRequest that plans need. Its size has a fixed bound: any client may create requests. */
export interface PodRequestRecord {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly creationTimestamp: string;
  /** The authority that its signerName names. */
  readonly authority: string;
  readonly podName: string;
  readonly podUid: string;
  readonly serviceAccountName: string;
  readonly nodeName: string;
  readonly maxExpirationMs: number;
  /** The SubjectPublicKeyInfo, or why no certificate may have the key. */
  readonly key: { readonly publicKey: Buffer } | { readonly problem: string };
  /** Digest of unverifiedUserAnnotations, see annotationsDigest. The live pod has the values. */
  readonly annotationsDigest: string;
}

/** The parts of a live pod that plans need. */
export interface ObservedPod {
  readonly uid: string;
  readonly serviceAccountName: string;
  readonly nodeName: string;
  readonly hostname: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The pod has ended. */
  readonly isFinished: boolean;
  /** A container was created, so kubelet has mounted the volumes: the pod has had its certificates. */
  readonly hasStarted: boolean;
  /** userAnnotations of its podCertificate sources with the signer of the request, with their digests. */
  readonly sources: readonly PodCertificateSource[];
}

/** A podCertificate source of a projected volume. */
export interface PodCertificateSource {
  readonly annotations: Readonly<Record<string, string>>;
  readonly digest: string;
}

/** The selector of a Service. A Service without selector has none. */
export interface ObservedService {
  readonly selector?: Readonly<Record<string, string>>;
}

/** The source of the pod that a request comes from. Undefined when the pod has none. */
export const sourceOfRequest = (
  { annotationsDigest }: PodRequestRecord,
  { sources }: ObservedPod,
): PodCertificateSource | undefined => sources.find(({ digest }) => digest === annotationsDigest);
