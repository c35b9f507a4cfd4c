import { podAnnotations } from '../../api/constants.ts';
import { dnsLabels, isDnsLabel, normaliseIpAddress } from '../policy/name-normalisation.ts';
import { truncate } from '../text/message-text.ts';

/** The names that a pod requests in addition to the SPIFFE ID of its ServiceAccount. Normalised, without duplicates. */
export interface PodNames {
  readonly services: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/** As many names as the schema of an MtlsCertificate allows. Each Service is read from the API server. */
const limits = { services: 16, names: 100 } as const;

/** Reads userAnnotations of a podCertificate volume. Returns a message when they are not valid. */
export function readUserAnnotations(
  annotations: Readonly<Record<string, string>>,
): PodNames | { readonly problem: string } {
  const known: readonly string[] = Object.values(podAnnotations);
  const unknown = Object.keys(annotations).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    const keys = known.join(', ');
    return { problem: `userAnnotations has the unknown key ${truncate(unknown)}; the operator knows ${keys}` };
  }
  const read = { services: readList(annotations, 'services', limits.services, serviceName) };
  const dnsNames = readList(annotations, 'dnsNames', limits.names, (name) => dnsLabels(name)?.join('.'));
  const ipAddresses = readList(annotations, 'ipAddresses', limits.names, normaliseIpAddress);
  for (const list of [read.services, dnsNames, ipAddresses]) if ('problem' in list) return list;
  return {
    services: valuesOf(read.services),
    dnsNames: valuesOf(dnsNames),
    ipAddresses: valuesOf(ipAddresses),
  };
}

const serviceName = (name: string): string | undefined => (isDnsLabel(name) ? name : undefined);

type List = { readonly values: readonly string[] } | { readonly problem: string };

const valuesOf = (list: List): readonly string[] => ('values' in list ? list.values : []);

function readList(
  annotations: Readonly<Record<string, string>>,
  field: keyof typeof podAnnotations,
  most: number,
  normalise: (name: string) => string | undefined,
): List {
  const key = podAnnotations[field];
  const text = (Object.hasOwn(annotations, key) ? annotations[key] : undefined)?.trim() ?? '';
  if (text === '') return { values: [] };
  const items = text.split(',', most + 1);
  if (items.length > most) return { problem: `${key} has more than ${most} entries` };
  const values = new Set<string>();
  for (const item of items) {
    const value = normalise(item.trim());
    if (value === undefined) return { problem: `${key}: ${JSON.stringify(truncate(item.trim()))} is not valid` };
    values.add(value);
  }
  return { values: [...values] };
}
