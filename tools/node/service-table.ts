/** The fields of a Service that its clients depend on. */
export interface Service {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: {
    readonly clusterIP?: string;
    readonly ports?: readonly { readonly name?: string; readonly port: number; readonly protocol?: string }[];
  };
}

/** The fields of an EndpointSlice (discovery.k8s.io/v1) that name the pods of a Service. */
export interface EndpointSlice {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly addressType: string;
  readonly endpoints?:
    | readonly {
        readonly addresses: readonly string[];
        readonly hostname?: string;
        readonly conditions?: { readonly ready?: boolean };
      }[]
    | null;
  readonly ports?: readonly { readonly name?: string; readonly port?: number }[] | null;
}

/** An address of a Service, or of a pod behind it. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

const keyOf = ({ metadata }: Service | EndpointSlice): string => `${metadata.namespace}/${metadata.name}`;
const serviceOf = ({ metadata }: EndpointSlice): string =>
  `${metadata.namespace}/${metadata.labels?.['kubernetes.io/service-name']}`;

/** The Services of a cluster and the pods behind them. */
export class ServiceTable {
  readonly #services = new Map<string, Service>();
  readonly #slices = new Map<string, EndpointSlice>();
  readonly #domain: string;

  /** `domain` is that of the cluster, for example cluster.local. */
  constructor(domain: string) {
    this.#domain = domain;
  }

  setServices(services: readonly Service[]): void {
    replaceAll(this.#services, services);
  }

  setSlices(slices: readonly EndpointSlice[]): void {
    replaceAll(this.#slices, slices);
  }

  /** Where clients connect to: the TCP ports of every Service with an address of its own. */
  frontends(): readonly Address[] {
    return [...this.#services.values()].flatMap(({ spec: { clusterIP, ports = [] } }) =>
      hasAddress(clusterIP)
        ? ports.filter(({ protocol = 'TCP' }) => protocol === 'TCP').map(({ port }) => ({ host: clusterIP, port }))
        : [],
    );
  }

  /** The ready pods behind an address of a Service. */
  backends({ host, port }: Address): readonly Address[] {
    const service = [...this.#services.values()].find(({ spec }) => spec.clusterIP === host);
    const name = service?.spec.ports?.find((each) => each.port === port)?.name ?? '';
    if (service === undefined) return [];
    return this.#slicesOf(keyOf(service)).flatMap((slice) => {
      const target = slice.ports?.find((each) => (each.name ?? '') === name)?.port;
      if (target === undefined) return [];
      return readyIn(slice).flatMap(({ addresses }) => addresses.map((address) => ({ host: address, port: target })));
    });
  }

  /** The addresses of a DNS name; undefined if the name does not exist. */
  addressesOf(name: string): readonly string[] | undefined {
    if (!name.endsWith(`.svc.${this.#domain}`)) return undefined;
    const [namespace, service, hostname, ...more] = name
      .slice(0, -`.svc.${this.#domain}`.length)
      .split('.')
      .toReversed();
    const key = `${namespace}/${service}`;
    const clusterIP = this.#services.get(key)?.spec.clusterIP;
    if (clusterIP === undefined || more.length > 0) return undefined;
    if (hostname === undefined && hasAddress(clusterIP)) return [clusterIP];
    const ready = this.#slicesOf(key).flatMap(readyIn);
    const named = hostname === undefined ? ready : ready.filter((endpoint) => endpoint.hostname === hostname);
    return hostname !== undefined && named.length === 0 ? undefined : named.flatMap(({ addresses }) => addresses);
  }

  #slicesOf(service: string): readonly EndpointSlice[] {
    return [...this.#slices.values()].filter((each) => each.addressType === 'IPv4' && serviceOf(each) === service);
  }
}

const hasAddress = (clusterIP: string | undefined): clusterIP is string =>
  clusterIP !== undefined && clusterIP !== '' && clusterIP !== 'None';

const readyIn = ({ endpoints }: EndpointSlice) =>
  (endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false);

function replaceAll<T extends Service | EndpointSlice>(map: Map<string, T>, objects: readonly T[]): void {
  map.clear();
  for (const object of objects) map.set(keyOf(object), object);
}
