import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';

import { eventually } from '../eventually.ts';
import { type Installation, install } from '../installation.ts';
import { scratchFolder } from '../scratch.ts';
import { type RotatedAuthority, watchAuthority } from './authority.ts';
import { type Mesh, type Role, startMesh, type Workload } from './mesh.ts';
import { followRoleSecrets, type RoleSecret, roleSecrets } from './secrets.ts';

/** A mesh with the Secrets that an operator writes. */
export interface OperatedMesh extends Mesh {
  readonly authority: RotatedAuthority;
  /** The current Secrets of all workloads, from the API server. */
  secrets(): Promise<readonly RoleSecret[]>;
  /** Kills the operator and starts it again as the same replica, which still holds the Lease. */
  restartOperator(): Promise<void>;
}

export interface OperatedMeshOptions {
  readonly workloads: number;
  readonly namespaces: number;
  readonly slowestLagMs: number;
  /** `spec.rotation` of the authority. */
  readonly rotation: object;
}

const authorityName = 'mesh';
const replica = { env: { POD_NAME: 'replica' } };

/** Starts a cluster, an operator, and a mesh with certificates of one authority. */
export async function startOperatedMesh(options: OperatedMeshOptions): Promise<OperatedMesh> {
  const base = await scratchFolder('mesh');
  const installation = await install();
  let mesh: Mesh | undefined;
  async function stop(): Promise<void> {
    await mesh?.stop();
    await installation.end();
    await rm(base, { recursive: true });
  }
  try {
    const namespaces = await certify(installation, options);
    const secrets = (): Promise<readonly RoleSecret[]> => roleSecrets(installation.api, namespaces);
    const first = await secrets();
    const started = await startMesh(workloadsOf(first), { base, slowestLagMs: options.slowestLagMs });
    mesh = started;
    const delivered = new Set(first.map(({ resourceVersion }) => resourceVersion));
    const following = followRoleSecrets(installation.api, namespaces, (secret) => {
      if (delivered.has(secret.resourceVersion)) return;
      delivered.add(secret.resourceVersion);
      started.deliver(secret.certificate, secret.role, secret);
    });
    // `settled` and `stop` report the error.
    following.catch(() => {});
    return {
      ...started,
      authority: await watchAuthority(installation.api, authorityName),
      secrets,
      async settled() {
        const written = await secrets();
        await eventually(() => assert.ok(written.every(({ resourceVersion }) => delivered.has(resourceVersion))), {
          message: 'the watch has not yet reported all Secrets',
        });
        await started.settled();
      },
      async restartOperator() {
        await installation.operator.kill();
        await installation.start(replica);
      },
      async stop() {
        await stop();
        await following;
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Requests a certificate for each workload and waits for it. Returns the namespaces. */
async function certify(installation: Installation, options: OperatedMeshOptions): Promise<readonly string[]> {
  await installation.start(replica);
  const { rotation } = options;
  const spec = { secretName: `${authorityName}-root`, root: { commonName: 'Mesh Root' }, rotation };
  await installation.createAuthority(authorityName, spec);
  const shops = await Promise.all(Array.from({ length: options.namespaces }, () => installation.tenant('shop')));
  const places = Array.from({ length: options.workloads }, (_, number) => {
    const shop = shops[number % shops.length];
    assert.ok(shop !== undefined);
    return { name: `app-${number}`, shop };
  });
  const authorityRef = { name: authorityName };
  for (const { name, shop } of places) {
    await shop.create(name, { authorityRef, server: { service: name }, client: { serviceAccount: name } });
  }
  for (const { name, shop } of places) await shop.ready(name);
  return shops.map(({ namespace }) => namespace);
}

function workloadsOf(secrets: readonly RoleSecret[]): Workload[] {
  const filesOf = (name: string, role: Role): RoleSecret['files'] => {
    const secret = secrets.find((candidate) => candidate.certificate === name && candidate.role === role);
    assert.ok(secret !== undefined, `${name} has no Secret for its ${role}`);
    return secret.files;
  };
  return secrets
    .filter(({ role }) => role === 'server')
    .map(({ certificate: name, namespace }) => ({
      name,
      serverName: `${name}.${namespace}.svc`,
      secrets: { server: filesOf(name, 'server'), client: filesOf(name, 'client') },
    }));
}
