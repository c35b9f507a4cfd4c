import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { paths } from '../support/api.ts';
import { eventually } from '../support/eventually.ts';
import type { Authority } from '../support/installation.ts';
import { issueOf, rootsIn } from '../support/mesh/issue.ts';
import type { LaggingMount } from '../support/mesh/mount.ts';
import { mountSecret, type SecretFiles, secretFiles, unlessInstalled } from '../support/peers/index.ts';
import { scratchFolder } from '../support/scratch.ts';
import {
  type Client,
  isLetIn,
  openSite,
  type RunningStack,
  type Site,
  type Stack,
  shownSerial,
  stacks,
  startTraffic,
} from '../support/stacks/index.ts';

/** A running stack, and the mounted Secret of its client. */
interface Installed {
  readonly stack: Stack;
  readonly running: RunningStack;
  readonly mount: LaggingMount;
  /** The initial content of that Secret. */
  readonly firstFiles: SecretFiles;
}

/** The client with its own certificate and the right bundle. */
const clientOf = ({ mount: { folder } }: Installed): Client => ({ caFolder: folder, folder });
const clientSecretOf = ({ certificate }: Stack): string => `${certificate}-client-tls`;

// Each stack is configured as its page says, word for word, and runs until the last test.
describe('docs/how-to/stacks, as written (45 s: servers are built, and certificates rotated):', () => {
  let site: Site;
  let base: string;
  let folders = 0;
  const installed: Installed[] = [];

  before(async () => {
    base = await scratchFolder('stacks');
    site = await openSite();
    // The page with grants, which the other authority needs as well.
    await site.apply('postgresql');
    const { spec } = await site.api.get<Authority>(paths.authorities('default'));
    await site.createAuthority('stranger', { ...spec, secretName: 'stranger-root', root: { commonName: 'Stranger' } });
  });
  after(async () => {
    for (const { running } of installed) await running.stop();
    await site?.end();
    await rm(base, { recursive: true });
  });

  for (const stack of stacks) {
    describe(stack.name, { skip: unlessInstalled(stack) }, () => {
      let stackUnderTest: Installed;
      before(async () => {
        await site.apply(stack.page);
        const mount = await site.mount(clientSecretOf(stack));
        const firstFiles = await clientFilesOf(stack);
        stackUnderTest = { stack, running: await stack.start(site), mount, firstFiles };
        installed.push(stackUnderTest);
      });

      test('serves a client with the right certificate, and no other', async () => {
        const { running } = stackUnderTest;
        const right = clientOf(stackUnderTest);
        const stranger = await strangerOf(stack);
        await assertServed(stackUnderTest);
        const refused: Record<string, Client> = {
          'without a certificate': { caFolder: right.caFolder },
          'with a certificate of another root': { ...right, folder: stranger },
          'that trusts another root': { ...right, caFolder: stranger },
        };
        for (const [kind, client] of Object.entries(refused)) {
          assert.partialDeepStrictEqual(await running.connect(client), { ok: false }, `a client ${kind} is served`);
        }
        const another = await running.connect({ ...right, looksForAnother: true });
        assert.equal(another.ok, !stack.checksServerName, 'a client that expects another server name');
        if (running.membersOnly !== undefined) {
          const { port, folder } = running.membersOnly;
          assert.ok(await isLetIn(port, folder), 'a member is not accepted by another member');
          assert.equal(await isLetIn(port, right.caFolder), false, 'a client is accepted by the members');
        }
        await assertServed(stackUnderTest);
      });

      test('presents a rotated certificate on new connections, and accepts the client with its new certificate', async () => {
        const before = await serialsOf(stack);
        const old = await folderWith(await clientFilesOf(stack));
        await site.tenant.rotate(stack.certificate, `for ${stack.name}`);
        await site.tenant.ready(stack.certificate);
        await site.settled(stack.certificate);
        const now = await serialsOf(stack);
        assert.notEqual(now.server, before.server);
        assert.notEqual(now.client, before.client);
        await assertServed(stackUnderTest);
        const late = await stackUnderTest.running.connect({ caFolder: old, folder: old });
        assert.partialDeepStrictEqual(late, { ok: true }, 'a client that does not have its new certificate yet');
      });
    });
  }

  test('no connection fails during a root rotation, and a certificate of the old root is refused afterwards', async (t) => {
    assert.ok(installed.length > 0, 'no stack was installed');
    const straggler = 'straggler';
    await site.authority.patch({ spec: { rotation: { propagationDelay: '1h', reissuesPerSecond: 1000 } } });
    await site.tenant.create(straggler, { server: { service: straggler } });
    await site.tenant.ready(straggler);
    const oldRoot = site.authority.status.activeRoot?.fingerprint ?? '';
    const traffic = startTraffic(
      installed.map((stackUnderTest) => ({
        name: stackUnderTest.stack.name,
        connect: () => stackUnderTest.mount.undisturbed(() => letIn(stackUnderTest)),
      })),
    );
    t.after(() => traffic.stop());

    const rotation = await site.authority.rotate();
    await eventually(async () => {
      for (const files of (await filesOfSecrets()).values()) assert.equal(rootsIn(files).length, 2);
    });
    await site.settled();
    await traffic.everyClientConnects();

    // The gate opens when every peer uses the written Secrets, not after a time that may be too short for this machine.
    // After that, one Secret that cannot be issued again keeps the rotation in its phase until every peer has loaded the
    // others.
    const dnsNames = { denied: ['denied.example.com'], own: null };
    await site.tenant.patch(straggler, { spec: { server: { dnsNames: dnsNames.denied } } });
    await site.tenant.notReady(straggler, 'Denied');
    await site.authority.patch({ spec: { rotation: { propagationDelay: '0s' } } });
    await eventually(async () => {
      const old = [...(await filesOfSecrets())].filter(([, files]) => issueOf(files).root === oldRoot);
      assert.deepEqual(
        old.map(([name]) => name),
        [`${straggler}-server-tls`],
      );
    });
    await site.settled();
    await traffic.everyClientConnects();
    await site.tenant.patch(straggler, { spec: { server: { dnsNames: dnsNames.own } } });
    await rotation.ends();
    await site.settled();
    await traffic.everyClientConnects();
    await traffic.stop();
    t.diagnostic(`${traffic.count} connections`);
    assert.deepEqual(traffic.failures, []);

    for (const stackUnderTest of installed) {
      await t.test(stackUnderTest.stack.name, async () => {
        await assertServed(stackUnderTest);
        const { caFolder } = clientOf(stackUnderTest);
        const folder = await folderWith({
          ...stackUnderTest.firstFiles,
          'ca.crt': await readFile(join(caFolder, 'ca.crt')),
        });
        assert.partialDeepStrictEqual(await stackUnderTest.running.connect({ caFolder, folder }), { ok: false });
      });
    }
  });

  /** Asserts that the client is accepted, and that both sides see the certificates in status. */
  async function assertServed(stackUnderTest: Installed): Promise<void> {
    const { server, client } = await serialsOf(stackUnderTest.stack);
    const outcome = await stackUnderTest.running.connect(clientOf(stackUnderTest));
    assert.partialDeepStrictEqual(outcome, { ok: true });
    if (outcome.ok && outcome.sawSerial !== undefined) assert.equal(outcome.sawSerial, client);
    assert.equal(await shownSerial(stackUnderTest.running, clientOf(stackUnderTest).caFolder), server);
  }

  async function letIn(stackUnderTest: Installed): Promise<void> {
    const outcome = await stackUnderTest.running.connect(clientOf(stackUnderTest));
    if (!outcome.ok) throw new Error(outcome.error);
  }

  async function clientFilesOf(stack: Stack): Promise<SecretFiles> {
    return secretFiles(await site.tenant.secret(clientSecretOf(stack)));
  }

  async function serialsOf({ certificate }: Stack): Promise<{ server: string; client: string }> {
    const { status } = await site.tenant.get(certificate);
    const serialOf = (matches: (role: string) => boolean): string =>
      status?.secrets?.find(({ role }) => matches(role))?.serialNumber ?? '';
    return { server: serialOf((role) => role !== 'client'), client: serialOf((role) => role === 'client') };
  }

  /** The Secrets of the authority `default`, by name. */
  async function filesOfSecrets(): Promise<ReadonlyMap<string, SecretFiles>> {
    const own = (await site.tenant.secrets()).filter(({ metadata }) => !metadata.name.startsWith('stranger-'));
    return new Map(own.map((secret) => [secret.metadata.name, secretFiles(secret)]));
  }

  /** A folder for a client with the same names from another root, which also trusts that root. */
  async function strangerOf({ certificate }: Stack): Promise<string> {
    const name = `stranger-${certificate}`;
    const { spec } = await site.tenant.get(certificate);
    const secrets = await site.tenant.secretNames();
    if (!secrets.includes(`${name}-client-tls`)) {
      const { client, outputs } = spec;
      await site.tenant.create(name, { authorityRef: { name: 'stranger' }, client, ...(outputs && { outputs }) });
      await site.tenant.ready(name);
    }
    return folderWith(secretFiles(await site.tenant.secret(`${name}-client-tls`)));
  }

  async function folderWith(files: SecretFiles): Promise<string> {
    const folder = join(base, String(++folders));
    await mountSecret(folder, files);
    return folder;
  }
});
