/** The operator's /metrics at one time. */
export interface Scrape {
  readonly residentBytes: number;
  readonly cpuSeconds: number;
  readonly issued: number;
  readonly leads: boolean;
  readonly queued: number;
  /** Finished reconciles, of all controllers. */
  readonly reconciles: number;
  /** Requests by "verb resource". */
  readonly requests: ReadonlyMap<string, number>;
}

/** Reads /metrics. */
export async function scrape(url: string): Promise<Scrape> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const samples = [...text.matchAll(/^([a-z_]+)(?:\{(.*)\})? ([0-9.e+-]+)$/gim)].map(([, name, labels, value]) => ({
    name: name ?? '',
    labels: Object.fromEntries([...(labels ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, key, label]) => [key, label])),
    value: Number(value),
  }));
  const sum = (name: string) =>
    samples.filter((sample) => sample.name === name).reduce((total, { value }) => total + value, 0);
  const requests = new Map<string, number>();
  for (const { name, labels, value } of samples) {
    if (name !== 'rest_client_requests_total') continue;
    const key = `${labels['verb']} ${labels['resource']}`;
    requests.set(key, (requests.get(key) ?? 0) + value);
  }
  return {
    residentBytes: sum('process_resident_memory_bytes'),
    cpuSeconds: sum('process_cpu_seconds_total'),
    issued: sum('mtls_operator_issued_total'),
    leads: sum('leader_election_master_status') === 1,
    queued: sum('workqueue_depth'),
    reconciles: sum('controller_runtime_reconcile_total'),
    requests,
  };
}

/** The writes between two scrapes (or since the start), by "verb resource", most first. */
export function writes(before: Scrape | undefined, after: Scrape): Array<[string, number]> {
  return [...after.requests]
    .filter(([key]) => !/^(get|list|watch) /.test(key))
    .map(([key, value]): [string, number] => [key, value - (before?.requests.get(key) ?? 0)])
    .filter(([, value]) => value > 0)
    .sort(([, a], [, b]) => b - a);
}
