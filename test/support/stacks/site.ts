import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';

import { type Api, paths, type Secret } from '../api.ts';
import { eventually } from '../eventually.ts';
import { type Installation, install, type Tenant } from '../installation.ts';
import { type RotatedAuthority, watchAuthority } from '../mesh/authority.ts';
import { type LaggingMount, laggingMount } from '../mesh/mount.ts';
import { wholePage } from '../page.ts';
import { type MountOptions, mountSecret, secretFiles } from '../peers/index.ts';
import { scratchFolder } from '../scratch.ts';

/** The namespace of the documentation's examples. */
const namespace = 'shop';

/** A cluster with the operator, and mounted Secrets as on a node. */
export interface Site {
  readonly api: Api;
  readonly tenant: Tenant;
  /** The authority `default`. */
  readonly authority: RotatedAuthority;
  createAuthority(name: string, spec: object): Promise<void>;
  kubectl: Installation['cluster']['kubectl'];
  readonly etcd: string;
  /** Applies the certificates and authorities of a page in docs/how-to/stacks, and waits until the certificates are Ready. */
  apply(page: string): Promise<void>;
  /** Mounts a Secret and keeps the folder up to date. `reload` is called after each change. */
  mount(secretName: string, options?: MountOptions & { readonly reload?: () => Promise<void> }): Promise<LaggingMount>;
  /**
   * Resolves when the current content of all mounted Secrets is in use, or of those of one certificate. Throws if a server
   * failed to load it.
   */
  settled(certificate?: string): Promise<void>;
  end(): Promise<void>;
}

/** Starts a cluster with the operator and the authority `default`. */
export async function openSite(): Promise<Site> {
  const installation = await install();
  const mounts: { readonly secretName: string; readonly mount: LaggingMount }[] = [];
  const delivered = new Set<string>();
  try {
    await installation.start();
    await installation.authorityIs('default', 'True');
    const { api, cluster } = installation;
    await cluster.kubectl(['create', 'namespace', namespace]);
    const tenant = installation.tenantOf(namespace);
    const authority = await watchAuthority(api, 'default');

    function deliver(secret: Secret): void {
      const { name, resourceVersion } = secret.metadata;
      if (delivered.has(resourceVersion)) return;
      delivered.add(resourceVersion);
      const state = { files: secretFiles(secret), writtenAt: Date.now() };
      for (const { secretName, mount } of mounts) if (secretName === name) mount.deliver(state);
    }
    const following = api.watch<Secret>(paths.secrets(namespace), ({ type, object }) => {
      if (type !== 'DELETED') deliver(object);
    });
    // `settled` and `end` report the error.
    following.catch(() => {});

    return {
      api,
      tenant,
      authority,
      kubectl: cluster.kubectl,
      etcd: cluster.binaries.etcd,
      async createAuthority(name, spec) {
        await installation.createAuthority(name, spec);
        await installation.authorityIs(name, 'True');
      },
      async apply(page) {
        const blocks = wholePage(`docs/how-to/stacks/${page}.md`).blocks('yaml');
        const grants = blocks.find((block) => block.startsWith('# grants.yaml\n'));
        if (grants !== undefined)
          await cluster.kubectl(['patch', 'mauth', 'default', '--type=merge', `--patch=${grants}`]);
        const manifests = blocks.filter((block) => /^kind: Mtls/m.test(block));
        await cluster.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], {
          input: manifests.join('---\n'),
        });
        const ready = ['wait', 'mcert', '--all', '--for=condition=Ready', '--timeout=120s', '-n', namespace];
        await cluster.kubectl(ready);
      },
      async mount(secretName, { reload, ...options } = {}) {
        const folder = await scratchFolder('mounted');
        const secret = await tenant.secret(secretName);
        await mountSecret(folder, secretFiles(secret), options);
        const mount = laggingMount(folder, 0, reload, options);
        mounts.push({ secretName, mount });
        // The Secret may have changed before the watch knew of the mount.
        const now = await tenant.secret(secretName);
        mount.deliver({ files: secretFiles(now), writtenAt: Date.now() });
        return mount;
      },
      async settled(certificate) {
        const written = await tenant.secrets();
        await eventually(() => assert.ok(written.every(({ metadata }) => delivered.has(metadata.resourceVersion))), {
          message: 'the watch has not yet reported all Secrets',
        });
        const prefix = certificate === undefined ? '' : `${certificate}-`;
        for (const { secretName, mount } of mounts) if (secretName.startsWith(prefix)) await mount.settled();
      },
      async end() {
        await installation.end();
        await following;
        for (const { mount } of mounts) await rm(mount.folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await installation.end();
    throw error;
  }
}
