import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { startConfiguredOperator } from '../../../tools/operator.ts';
import { mountSecret, secretFiles } from '../../../tools/secret-volume.ts';
import { type Api, type ConfigMap, paths, type Secret, type Stored } from '../api.ts';
import type { TestCluster } from '../cluster.ts';
import { type Operator, operatorOf } from '../operator.ts';

/** The part of a Deployment that decides how the operator runs. */
export interface Deployment extends Stored {
  readonly spec: {
    readonly replicas: number;
    readonly template: {
      readonly spec: {
        readonly serviceAccountName: string;
        readonly containers: readonly [Container];
        readonly volumes?: readonly Volume[];
      };
    };
  };
}

interface Container {
  readonly args: readonly string[];
  readonly env: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
  }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}

interface Volume {
  readonly name: string;
  readonly configMap?: { readonly name: string; readonly optional?: boolean };
  readonly secret?: { readonly secretName: string; readonly optional?: boolean };
  readonly emptyDir?: object;
}

/** The operator, in place of a pod of its Deployment. */
export interface Pod {
  readonly operator: Operator;
  /** Updates the files of the volumes, as kubelet does about once a minute. */
  readonly syncVolumes: () => Promise<void>;
}

let started = 0;

/**
 * Starts the operator as kubelet starts a pod of this Deployment: with its arguments, its environment, its volumes and a token of
 * its ServiceAccount. Only the addresses to listen at are others, because all pods of the test share one host.
 */
export async function startPod(cluster: TestCluster, api: Api, path: string): Promise<Pod> {
  const { metadata, spec } = await api.get<Deployment>(path);
  const { namespace = '' } = metadata;
  const { serviceAccountName, containers, volumes = [] } = spec.template.spec;
  const [container] = containers;
  const name = `${metadata.name}-${++started}`;
  const directory = join(cluster.dir, `pod-${process.pid}-${name}`);
  const subject = { namespace, name: serviceAccountName };
  const login = await cluster.serviceAccount(join(directory, 'service-account'), { subject });

  const folderOf = (mount: string): string => join(directory, 'volumes', mount);
  const syncVolumes = async (): Promise<void> => {
    for (const volume of volumes) await mount(volume, folderOf(volume.name), namespace, api);
  };
  await syncVolumes();

  const mounts = container.volumeMounts ?? [];
  const inside = (argument: string): string => {
    const found = mounts.find(({ mountPath }) => argument.includes(`=${mountPath}`));
    return found === undefined ? argument : argument.replace(found.mountPath, folderOf(found.name));
  };
  const fields: Readonly<Record<string, string>> = { 'metadata.name': name, 'metadata.namespace': namespace };
  const variables = container.env.map(({ name: variable, value, valueFrom }) => {
    const content = value ?? fields[valueFrom?.fieldRef.fieldPath ?? ''];
    assert.ok(content !== undefined, `the test cannot give the variable ${variable} to the operator`);
    return [variable, content];
  });
  const program = startConfiguredOperator(login, {
    args: container.args.map(onThisHost).map(inside),
    env: Object.fromEntries(variables) as NodeJS.ProcessEnv,
  });
  return { operator: await operatorOf(program, true), syncVolumes };
}

const onThisHost = (argument: string): string =>
  argument.replace(/^(--(?:metrics-)?listen-address=)\S*:\d+$/, '$1127.0.0.1:0');

async function mount({ name, configMap, secret, emptyDir }: Volume, folder: string, namespace: string, api: Api) {
  mkdirSync(folder, { recursive: true });
  if (emptyDir !== undefined) return;
  if (configMap !== undefined) {
    const { data = {} } = await api.get<ConfigMap>(paths.configMaps(namespace, configMap.name));
    const files = Object.entries(data).map(([file, text]) => [file, Buffer.from(text)] as const);
    await mountSecret(folder, Object.fromEntries(files));
    return;
  }
  assert.ok(secret !== undefined, `the test cannot mount the volume ${name}`);
  const path = paths.secrets(namespace, secret.secretName);
  const found = secret.optional === true ? await api.find<Secret>(path) : await api.get<Secret>(path);
  if (found !== undefined) await mountSecret(folder, secretFiles(found));
}
