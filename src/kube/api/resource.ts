import type { ObjectRef } from '../workqueue/object-key.ts';
import type { KubeObject, ObjectMeta } from './object.ts';

declare const objectType: unique symbol;

/** A kind: where the API server serves it, and the type of its objects. {@link defineResource} creates it. */
export interface Resource<T extends KubeObject> {
  /** API group; empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Does not exist at run time. It lets calls infer the type of the objects. */
  readonly [objectType]?: T;
}

/** Defines a kind, for instance `defineResource<Widget>({ group: 'example.org', version: 'v1', … })`. */
export function defineResource<T extends KubeObject>(
  descriptor: Omit<Resource<KubeObject>, typeof objectType>,
): Resource<T> {
  return Object.freeze({ ...descriptor });
}

/** The apiVersion of objects of the kind. */
export function apiVersionOf(resource: Resource<KubeObject>): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}

/** The URL path of a collection in one namespace or in all namespaces. */
export function collectionPath(resource: Resource<KubeObject>, namespace?: string): string {
  const root = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const scope = resource.namespaced && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${scope}/${resource.plural}`;
}

/** The URL path of an object or its subresource. Throws a TypeError if the name, or the namespace of a namespaced kind, is empty. */
export function objectPath(resource: Resource<KubeObject>, ref: ObjectRef, subresource?: string): string {
  // With an empty name or namespace, the path would be that of the collection, and DELETE would delete all its objects.
  if (ref.name === '') throw new TypeError(`a ${resource.kind} needs a name`);
  if (resource.namespaced && !ref.namespace) throw new TypeError(`${resource.kind} ${ref.name} needs a namespace`);
  const path = `${collectionPath(resource, ref.namespace)}/${encodeURIComponent(ref.name)}`;
  return subresource === undefined ? path : `${path}/${subresource}`;
}

/** core/v1 Secret. `data` is base64. */
export interface Secret extends KubeObject {
  readonly type?: string | undefined;
  readonly immutable?: boolean | undefined;
  readonly data?: Readonly<Record<string, string>> | undefined;
}

/** core/v1 Namespace. */
export interface Namespace extends KubeObject {
  readonly status?: { readonly phase?: string | undefined } | undefined;
}

/** core/v1 ConfigMap. */
export interface ConfigMap extends KubeObject {
  readonly immutable?: boolean | undefined;
  readonly data?: Readonly<Record<string, string>> | undefined;
  /** Base64. A key is either here or in `data`. */
  readonly binaryData?: Readonly<Record<string, string>> | undefined;
}

/** certificates.k8s.io/v1 ClusterTrustBundle (KEP-3257): trust anchors for every pod that mounts them. */
export interface ClusterTrustBundle extends KubeObject {
  readonly spec: { readonly signerName?: string | undefined; readonly trustBundle: string };
}

/** certificates.k8s.io/v1 PodCertificateRequest (KEP-4317): kubelet requests a certificate for a pod. */
export interface PodCertificateRequest extends KubeObject {
  /** Absent in an object that only the status is written of. */
  readonly spec?:
    | {
        readonly signerName: string;
        readonly podName: string;
        readonly podUID: string;
        readonly serviceAccountName: string;
        readonly nodeName: string;
        readonly maxExpirationSeconds?: number | undefined;
        /** DER in base64. */
        readonly stubPKCS10Request?: string | undefined;
        readonly unverifiedUserAnnotations?: Readonly<Record<string, string>> | undefined;
      }
    | undefined;
  readonly status?: PodCertificateRequestStatus | undefined;
}

/** The answer of a signer. It has one condition, which is final. */
export interface PodCertificateRequestStatus {
  readonly conditions?: ReadonlyArray<{
    readonly type: 'Issued' | 'Denied' | 'Failed';
    readonly status: 'True';
    readonly reason: string;
    readonly message: string;
    readonly lastTransitionTime: string;
  }>;
  /** PEM, the leaf first. */
  readonly certificateChain?: string;
  readonly notBefore?: string;
  readonly beginRefreshAt?: string;
  readonly notAfter?: string;
}

/** core/v1 Pod, the fields that this program reads. */
export interface Pod extends KubeObject {
  readonly spec?:
    | {
        readonly serviceAccountName?: string | undefined;
        readonly nodeName?: string | undefined;
        readonly hostname?: string | undefined;
        readonly volumes?:
          | ReadonlyArray<{
              readonly projected?:
                | {
                    readonly sources?:
                      | ReadonlyArray<{
                          readonly podCertificate?:
                            | {
                                readonly signerName: string;
                                readonly userAnnotations?: Readonly<Record<string, string>> | undefined;
                              }
                            | undefined;
                        }>
                      | undefined;
                  }
                | undefined;
            }>
          | undefined;
      }
    | undefined;
  readonly status?:
    | {
        readonly phase?: string | undefined;
        readonly containerStatuses?: readonly ContainerStatus[] | undefined;
        readonly initContainerStatuses?: readonly ContainerStatus[] | undefined;
      }
    | undefined;
}

/** core/v1 ContainerStatus. */
export interface ContainerStatus {
  /** Empty before the container was created. */
  readonly containerID?: string | undefined;
  readonly state?: { readonly running?: object | undefined; readonly terminated?: object | undefined } | undefined;
  readonly restartCount?: number | undefined;
}

/** core/v1 Service, the fields that this program reads. */
export interface Service extends KubeObject {
  readonly spec?: { readonly selector?: Readonly<Record<string, string>> | undefined } | undefined;
}

/** apps/v1 Deployment, StatefulSet or DaemonSet: the fields that show a rollout. */
export interface Workload extends KubeObject {
  readonly spec?: {
    readonly replicas?: number | undefined;
    readonly paused?: boolean | undefined;
    /** Of a StatefulSet or DaemonSet. */
    readonly updateStrategy?:
      | {
          readonly type?: string | undefined;
          readonly rollingUpdate?: { readonly partition?: number | undefined } | undefined;
        }
      | undefined;
    readonly template?:
      | {
          readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> | undefined } | undefined;
        }
      | undefined;
  };
  readonly status?: {
    readonly observedGeneration?: number | undefined;
    readonly replicas?: number | undefined;
    readonly updatedReplicas?: number | undefined;
    readonly availableReplicas?: number | undefined;
    readonly desiredNumberScheduled?: number | undefined;
    readonly updatedNumberScheduled?: number | undefined;
    readonly numberAvailable?: number | undefined;
  };
}

/** coordination.k8s.io/v1 Lease. Times are RFC 3339 with microseconds. */
export interface Lease extends KubeObject {
  readonly spec?:
    | {
        readonly holderIdentity?: string | undefined;
        readonly leaseDurationSeconds?: number | undefined;
        readonly acquireTime?: string | undefined;
        readonly renewTime?: string | undefined;
        readonly leaseTransitions?: number | undefined;
      }
    | undefined;
}

/** core/v1 ObjectReference: the object of an event. */
export interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace?: string | undefined;
  readonly name: string;
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

/** events.k8s.io/v1 Event. */
export interface Event extends KubeObject {
  readonly metadata: ObjectMeta & { readonly namespace: string };
  readonly eventTime: string;
  readonly reportingController: string;
  readonly reportingInstance: string;
  readonly action: string;
  readonly reason: string;
  readonly note: string;
  readonly type: 'Normal' | 'Warning';
  readonly regarding: ObjectReference;
}

/** authentication.k8s.io/v1 TokenReview. */
export interface TokenReview extends KubeObject {
  readonly spec: { readonly token: string };
  readonly status?:
    | {
        readonly authenticated?: boolean | undefined;
        readonly user?: UserInfo | undefined;
      }
    | undefined;
}

/** authentication.k8s.io/v1 UserInfo. */
export interface UserInfo {
  readonly username?: string | undefined;
  readonly uid?: string | undefined;
  readonly groups?: readonly string[] | undefined;
  readonly extra?: Readonly<Record<string, readonly string[]>> | undefined;
}

/** authorization.k8s.io/v1 SubjectAccessReview of a path that is no resource. */
export interface SubjectAccessReview extends KubeObject {
  readonly spec: Omit<UserInfo, 'username'> & {
    readonly user: string;
    readonly nonResourceAttributes: { readonly path: string; readonly verb: string };
  };
  readonly status?: { readonly allowed?: boolean | undefined } | undefined;
}

export const secrets = defineResource<Secret>({
  group: '',
  version: 'v1',
  plural: 'secrets',
  kind: 'Secret',
  namespaced: true,
});

export const namespaces = defineResource<Namespace>({
  group: '',
  version: 'v1',
  plural: 'namespaces',
  kind: 'Namespace',
  namespaced: false,
});

export const configMaps = defineResource<ConfigMap>({
  group: '',
  version: 'v1',
  plural: 'configmaps',
  kind: 'ConfigMap',
  namespaced: true,
});

export const clusterTrustBundles = defineResource<ClusterTrustBundle>({
  group: 'certificates.k8s.io',
  version: 'v1',
  plural: 'clustertrustbundles',
  kind: 'ClusterTrustBundle',
  namespaced: false,
});

export const podCertificateRequests = defineResource<PodCertificateRequest>({
  group: 'certificates.k8s.io',
  version: 'v1',
  plural: 'podcertificaterequests',
  kind: 'PodCertificateRequest',
  namespaced: true,
});

export const pods = defineResource<Pod>({
  group: '',
  version: 'v1',
  plural: 'pods',
  kind: 'Pod',
  namespaced: true,
});

export const services = defineResource<Service>({
  group: '',
  version: 'v1',
  plural: 'services',
  kind: 'Service',
  namespaced: true,
});

export const deployments = defineResource<Workload>({
  group: 'apps',
  version: 'v1',
  plural: 'deployments',
  kind: 'Deployment',
  namespaced: true,
});

export const statefulSets = defineResource<Workload>({
  group: 'apps',
  version: 'v1',
  plural: 'statefulsets',
  kind: 'StatefulSet',
  namespaced: true,
});

export const daemonSets = defineResource<Workload>({
  group: 'apps',
  version: 'v1',
  plural: 'daemonsets',
  kind: 'DaemonSet',
  namespaced: true,
});

export const replicaSets = defineResource<KubeObject>({
  group: 'apps',
  version: 'v1',
  plural: 'replicasets',
  kind: 'ReplicaSet',
  namespaced: true,
});

/** The part of admissionregistration.k8s.io/v1 WebhookClientConfig that holds roots. */
export interface WebhookClientConfig {
  /** PEM in base64. */
  readonly caBundle?: string | undefined;
}

/** admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration or MutatingWebhookConfiguration. */
export interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: ReadonlyArray<{ readonly clientConfig: WebhookClientConfig }> | undefined;
}

/** apiregistration.k8s.io/v1 APIService. */
export interface ApiService extends KubeObject {
  readonly spec?:
    | (WebhookClientConfig & { readonly service?: object | null; readonly insecureSkipTLSVerify?: boolean | undefined })
    | undefined;
}

/** apiextensions.k8s.io/v1 CustomResourceDefinition. */
export interface CustomResourceDefinition extends KubeObject {
  readonly spec: {
    readonly conversion?:
      | { readonly webhook?: { readonly clientConfig?: WebhookClientConfig | undefined } | undefined }
      | undefined;
  };
}

export const validatingWebhookConfigurations = defineResource<WebhookConfiguration>({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural: 'validatingwebhookconfigurations',
  kind: 'ValidatingWebhookConfiguration',
  namespaced: false,
});

export const mutatingWebhookConfigurations = defineResource<WebhookConfiguration>({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural: 'mutatingwebhookconfigurations',
  kind: 'MutatingWebhookConfiguration',
  namespaced: false,
});

export const apiServices = defineResource<ApiService>({
  group: 'apiregistration.k8s.io',
  version: 'v1',
  plural: 'apiservices',
  kind: 'APIService',
  namespaced: false,
});

export const customResourceDefinitions = defineResource<CustomResourceDefinition>({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
});

export const leases = defineResource<Lease>({
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
});

export const tokenReviews = defineResource<TokenReview>({
  group: 'authentication.k8s.io',
  version: 'v1',
  plural: 'tokenreviews',
  kind: 'TokenReview',
  namespaced: false,
});

export const subjectAccessReviews = defineResource<SubjectAccessReview>({
  group: 'authorization.k8s.io',
  version: 'v1',
  plural: 'subjectaccessreviews',
  kind: 'SubjectAccessReview',
  namespaced: false,
});

export const events = defineResource<Event>({
  group: 'events.k8s.io',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
  namespaced: true,
});
