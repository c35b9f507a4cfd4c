import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadAll } from 'js-yaml';
import { stringify } from 'yaml';

import { type CommandResult, output } from '../../../tools/controlplane/command.ts';
import { goTool } from '../../../tools/go-tools/go-tools.ts';
import { scratchFolder } from '../scratch.ts';

/** The folder of the chart. */
export const CHART = fileURLToPath(new URL('../../../deploy/helm/mtls-operator', import.meta.url));

/** A manifest, as the chart renders it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

/** Values of the chart: an object, or the text of a values file. */
export type Values = object | string;

export interface RenderOptions {
  /** The name of the release; `mtls-operator` by default. */
  readonly release?: string;
  /** `mtls-operator` by default. */
  readonly namespace?: string;
  /** APIs that the cluster serves in addition to those of Kubernetes, such as `mtls-operator.io/v1alpha1`. */
  readonly apis?: readonly string[];
}

/** Helm, with its own settings and caches, so that those of the user have no effect. */
export interface Helm {
  /** Runs Helm to its end. A failing command is a result. */
  readonly attempt: (args: readonly string[], values?: Values) => Promise<CommandResult>;
  /** Runs Helm and returns its standard output. Throws if it fails. `values` are given as `--values`. */
  readonly run: (args: readonly string[], values?: Values) => Promise<string>;
  /** The objects of `helm template`. */
  readonly render: (values?: Values, options?: RenderOptions) => Promise<readonly Manifest[]>;
  /** The same, as text. */
  readonly renderText: (values?: Values, options?: RenderOptions) => Promise<string>;
  /** The message with which Helm refuses to render these values. */
  readonly refusal: (values: Values) => Promise<string>;
}

/** The environment of a Helm that keeps its settings and caches in this folder. */
export const helmHome = (folder: string): Readonly<Record<string, string>> => ({
  HELM_CACHE_HOME: join(folder, 'cache'),
  HELM_CONFIG_HOME: join(folder, 'config'),
  HELM_DATA_HOME: join(folder, 'data'),
});

/** Opens Helm 4 (`helm`) or Helm 3 (`helm3`), for the cluster of a kubeconfig. */
export async function openHelm(version: 'helm' | 'helm3', kubeconfig = '/dev/null'): Promise<Helm> {
  const program = await goTool(version);
  const home = await scratchFolder(version);
  const env = { ...process.env, KUBECONFIG: kubeconfig, ...helmHome(home) };
  const attempt: Helm['attempt'] = (args, values) => {
    if (values === undefined) return output(program, args, { env });
    const input = typeof values === 'string' ? values : stringify(values);
    return output(program, [...args, '--values=-'], { env, input });
  };
  const run: Helm['run'] = async (args, values) => {
    const { code, stdout, stderr } = await attempt(args, values);
    if (code !== 0) throw new Error(`helm ${args.join(' ')} failed with exit code ${code}: ${stderr}`);
    return stdout;
  };
  const renderText: Helm['renderText'] = (values = {}, options = {}) =>
    run(['template', ...templateArguments(options)], values);
  return {
    attempt,
    run,
    renderText,
    render: async (values, options) => manifestsIn(await renderText(values, options)),
    async refusal(values) {
      const { code, stdout, stderr } = await attempt(['template', ...templateArguments({})], values);
      if (code === 0) throw new Error(`Helm accepts these values: ${JSON.stringify(values)}\n${stdout.slice(0, 500)}`);
      return stderr;
    },
  };
}

function templateArguments({ release = 'mtls-operator', namespace = 'mtls-operator', apis = [] }: RenderOptions) {
  return [release, CHART, `--namespace=${namespace}`, ...apis.map((api) => `--api-versions=${api}`)];
}

/** The objects in a text of YAML documents. */
export const manifestsIn = (text: string): readonly Manifest[] =>
  (loadAll(text) as readonly (Manifest | null)[]).filter((manifest) => manifest !== null);
