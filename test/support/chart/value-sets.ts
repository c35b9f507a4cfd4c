import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A way to install the chart: the values in `values/NAME.yaml`, and what belongs to them. */
export interface ValueSet {
  readonly name: string;
  readonly release: string;
  /** The namespace of the release. Each set has its own, so that no root remains from the set before. */
  readonly namespace: string;
  /** The name of the Deployment. */
  readonly deployment: string;
  /** Namespaces that exist before the release. A certificate is issued in the first one. */
  readonly tenants: readonly [string, ...string[]];
  /** Whether the platform team applies crds/ before the release, and creates the authority `default` itself. */
  readonly hasOwnCrds: boolean;
}

const inOwnNamespace = (name: string): ValueSet => ({
  name,
  release: 'mtls-operator',
  namespace: `${name}-system`,
  deployment: 'mtls-operator',
  tenants: [`${name}-tenant`],
  hasOwnCrds: false,
});

export const VALUE_SETS: readonly ValueSet[] = [
  { ...inOwnNamespace('default'), namespace: 'mtls-operator' },
  inOwnNamespace('high-availability'),
  { ...inOwnNamespace('namespaced'), tenants: ['namespaced-tenant', 'namespaced-other'] },
  inOwnNamespace('digest-and-pull-secrets'),
  inOwnNamespace('metrics'),
  inOwnNamespace('everything'),
  inOwnNamespace('minimal'),
  inOwnNamespace('authorities'),
  { ...inOwnNamespace('external-crds'), hasOwnCrds: true },
  { ...inOwnNamespace('other-names'), release: 'trust', deployment: 'company-pki' },
];

/** The text of its values file. */
export const valuesOf = ({ name }: ValueSet): string =>
  readFileSync(join(import.meta.dirname, 'values', `${name}.yaml`), 'utf8');
