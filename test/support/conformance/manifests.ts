// The objects of Kubernetes' conformance tests for pod certificates (test/e2e/auth/projected_podcertificate.go of Kubernetes
// 1.37). Three things differ: the images come from this machine, the server asks for the names of its Service, because this
// operator issues names only to pods that ask, and the annotations are those of this operator.

/** The image with Kubernetes' test programs. */
export const agnhost = 'localhost/agnhost:1';
/** The image with a shell. */
export const busybox = 'localhost/busybox:1';

export type UserAnnotations = Readonly<Record<string, string>>;

export interface PodCertificateOptions {
  readonly signerName: string;
  readonly userAnnotations?: UserAnnotations;
  readonly maxExpirationSeconds?: number;
  /** Whether an inspector pod also mounts the roots; false by default. */
  readonly roots?: boolean;
}

const folder = '/run/tls-config';
const credentials = 'spiffe-cred-bundle.pem';
const trust = 'spiffe-trust-bundle.pem';

/** The file with the key and the certificate, in every pod. */
export const credentialsPath = `${folder}/${credentials}`;

const volumeMounts = [{ name: 'tls-config', mountPath: folder }];

const podCertificate = ({ signerName, userAnnotations, maxExpirationSeconds }: PodCertificateOptions) => ({
  podCertificate: {
    signerName,
    credentialBundlePath: credentials,
    keyType: 'ECDSAP256',
    ...(userAnnotations === undefined ? {} : { userAnnotations }),
    ...(maxExpirationSeconds === undefined ? {} : { maxExpirationSeconds }),
  },
});

const clusterTrustBundle = ({ signerName }: PodCertificateOptions) => ({
  clusterTrustBundle: { signerName, labelSelector: {}, path: trust },
});

/** The projected volume with these sources, as a list of volumes. */
const volumes = (...sources: readonly object[]) => [{ name: 'tls-config', projected: { sources } }];

const container = (name: string, image: string) => ({
  name,
  image,
  imagePullPolicy: 'Never',
  securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
  volumeMounts,
});

const deployment = (namespace: string, app: string, args: readonly string[], sources: readonly object[]) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { namespace, name: app, labels: { app } },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app } },
    template: {
      metadata: { labels: { app } },
      spec: { containers: [{ ...container(app, agnhost), args }], volumes: volumes(...sources) },
    },
  },
});

/** The server and its Service. */
export function serverObjects(namespace: string, signerName: string): readonly object[] {
  const own = { signerName, userAnnotations: { 'mtls-operator.io/services': 'server' } };
  const args = [
    'mtlsserver',
    '--listen=0.0.0.0:8443',
    `--server-creds=${credentialsPath}`,
    `--spiffe-trust-bundle=${folder}/${trust}`,
  ];
  return [
    deployment(namespace, 'server', args, [podCertificate(own), clusterTrustBundle(own)]),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace, name: 'server' },
      spec: {
        type: 'ClusterIP',
        ports: [{ name: 'https', port: 443, targetPort: 8443 }],
        selector: { app: 'server' },
      },
    },
  ];
}

/** The client, which connects to the Service every ten seconds and logs the replies. */
export function clientObjects(namespace: string, signerName: string): readonly object[] {
  const own = { signerName };
  const args = [
    'mtlsclient',
    `--fetch-url=https://server.${namespace}.svc.cluster.local/spiffe-echo`,
    `--server-trust-bundle=${folder}/${trust}`,
    `--client-cred-bundle=${credentialsPath}`,
  ];
  return [deployment(namespace, 'client', args, [clusterTrustBundle(own), podCertificate(own)])];
}

/** A pod that prints its key and its certificate, and waits. */
export const inspectorPod = (namespace: string, name: string, options: PodCertificateOptions) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace, name },
  spec: {
    containers: [
      {
        name: 'inspector',
        image: busybox,
        imagePullPolicy: 'Never',
        command: ['/bin/sh', '-c', `cat ${credentialsPath} && sleep infinity`],
        volumeMounts,
      },
    ],
    volumes: volumes(podCertificate(options), ...(options.roots === true ? [clusterTrustBundle(options)] : [])),
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 1,
  },
});

/** A pod that prints the owner and the mode of its credentials, and ends. */
export const mountTestPod = (namespace: string, name: string, options: PodCertificateOptions) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace, name },
  spec: {
    securityContext: { runAsNonRoot: true, runAsUser: 1000, fsGroup: 1000 },
    containers: [
      {
        ...container('mounttest', agnhost),
        args: [
          'mounttest',
          `--file_mode=${folder}/..data/${credentials}`,
          `--file_owner=${folder}/..data/${credentials}`,
        ],
      },
    ],
    volumes: volumes(podCertificate(options)),
    restartPolicy: 'Never',
  },
});
