import { podAnnotations } from '../../api/constants.ts';
import { dnsLabels, isDnsLabel, normaliseIpAddress } from '../policy/name-normalisation.ts';
import { truncate } from '../text/message-text.ts';

/** The names that a pod requests in addition to the SPIFFE ID of its ServiceAccount. Normalised, without duplicates. */
export interface PodNames {
  readonly services: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

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
  const services = readList(annotations, 'services');
  const dnsNames = readList(annotations, 'dnsNames');
  const ipAddresses = readList(annotations, 'ipAddresses');
  if ('problem' in services) return services;
  if ('problem' in dnsNames) return dnsNames;
  if ('problem' in ipAddresses) return ipAddresses;
  return { services: services.values, dnsNames: dnsNames.values, ipAddresses: ipAddresses.values };
}

interface ListFormat {
  /** The largest number of entries. */
  readonly most: number;
  /** Undefined when the entry is not valid. */
  readonly normalise: (entry: string) => string | undefined;
  /** What an entry has to be, as the end of "… is not". */
  readonly expected: string;
}

/** As many names as the schema of an MtlsCertificate allows. Each Service is read from the API server. */
const formats: Readonly<Record<keyof typeof podAnnotations, ListFormat>> = {
  services: {
    most: 16,
    normalise: (entry) => (isDnsLabel(entry) ? entry : undefined),
    expected: 'the name of a Service; write the name without its namespace',
  },
  dnsNames: {
    most: 100,
    normalise: (entry) => dnsLabels(entry)?.join('.'),
    expected: 'a DNS name',
  },
  ipAddresses: { most: 100, normalise: normaliseIpAddress, expected: 'an IP address' },
};

type List = { readonly values: readonly string[] } | { readonly problem: string };

function readList(annotations: Readonly<Record<string, string>>, field: keyof typeof podAnnotations): List {
  const key = podAnnotations[field];
  const { most, normalise, expected } = formats[field];
  const text = (Object.hasOwn(annotations, key) ? annotations[key] : undefined)?.trim() ?? '';
  if (text === '') return { values: [] };
  const items = text.split(',', most + 1);
  if (items.length > most) return { problem: `${key} has more than ${most} entries` };
  const values = new Set<string>();
  for (const item of items) {
    const value = normalise(item.trim());
    if (value === undefined) {
      const entry = item.trim();
      if (entry === '') return { problem: `${key} has an empty entry; remove the comma` };
      return { problem: `${key}: ${JSON.stringify(truncate(entry))} is not ${expected}` };
    }
    values.add(value);
  }
  return { values: [...values] };
}
