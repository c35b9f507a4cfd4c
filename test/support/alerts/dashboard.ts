import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const file = fileURLToPath(new URL('../../../deploy/helm/mtls-operator/files/dashboard.json', import.meta.url));

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
  readonly fieldConfig?: {
    readonly defaults: { readonly unit?: string };
    readonly overrides: readonly { readonly properties: readonly object[] }[];
  };
}

export interface Variable {
  readonly name: string;
  readonly type: string;
  readonly definition?: string;
  readonly allValue?: string;
}

/** The parts of the shipped dashboard that the tests read. */
export const shippedDashboard = (): {
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly Variable[] };
} => JSON.parse(readFileSync(file, 'utf8')) as ReturnType<typeof shippedDashboard>;

/** A query as Grafana sends it, with these values of the variables. Throws for a variable without a value. */
export const withVariables = (query: string, values: Readonly<Record<string, string>>): string =>
  query.replaceAll(/\$(\w+)/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`${query}: there is no variable ${name}`);
    return value;
  });

/** The series that a query selects: names with their selectors. */
export const selectorsIn = (query: string): readonly string[] => query.match(/\b[a-zA-Z_]+\{[^}]*\}/g) ?? [];
