import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

import { freePort } from '../../../tools/controlplane/ports.ts';
import { paths } from '../api.ts';
import type { Authority } from '../installation.ts';
import type { LaggingMount } from '../mesh/mount.ts';
import { filled, wholePage } from '../page.ts';
import { compiled } from '../peers/compiled.ts';
import { curlClient, goPeer } from '../peers/index.ts';
import { type RunningProgram, startProgram } from '../peers/process.ts';
import { scratchFolder } from '../scratch.ts';
import { type Answer, asClient } from './client-command.ts';
import type { Site } from './site.ts';
import type { Client, Outcome, Stack } from './stack.ts';

const page = wholePage('docs/how-to/stacks/etcd.md');

/** Output of etcdctl if one side refuses the other: Go's TLS errors, or a closed connection. */
const refusal = /handshake failed|tls: |broken pipe|reset by peer/;

/** Three members of etcd with etcdctl as the client. */
export const etcdStack: Stack = {
  name: 'etcd',
  page: 'etcd',
  certificate: 'etcd',
  checksServerName: true,
  // Every control plane includes etcd.
  missing: () => goPeer.missing() ?? curlClient.missing(),
  async start(site) {
    await grantLoopback(site);
    const data = await scratchFolder('etcd');
    const names = ['etcd-0', 'etcd-1', 'etcd-2'];
    const places = await Promise.all(
      names.map(async (name) => ({ name, client: await freePort(), peer: await freePort() })),
    );
    const initialCluster = places.map(({ name, peer }) => `${name}=${at(peer)}`).join(',');
    const rolling = inTurn();
    const members = await Promise.all(
      places.map((place) => prepareMember(site, { ...place, data: join(data, place.name), initialCluster }, rolling)),
    );
    const stop = async (): Promise<void> => {
      await Promise.all(members.map((member) => member.stop()));
      await rm(data, { recursive: true, force: true });
    };
    try {
      // Start them together: no member is ready before a majority runs.
      await Promise.all(members.map((member) => member.start()));
    } catch (error) {
      await stop();
      throw error;
    }
    const ports = places.map(({ client }) => client);
    // A member reads tls.crt and tls.key one after the other: do not swap the files in between.
    const undisturbed = members.reduce(
      (inside, { mount }) =>
        <T>(work: () => Promise<T>) =>
          inside(() => mount.undisturbed(work)),
      <T>(work: () => Promise<T>) => work(),
    );
    const [member] = members;
    const [place] = places;
    return {
      ports,
      ...(member && place && { membersOnly: { port: place.peer, folder: member.mount.folder } }),
      connect: (client) => undisturbed(() => connect(client, ports)),
      stop,
    };
  },
};

/** The members run on one machine and reach each other by its address, which the page does not ask for. */
async function grantLoopback(site: Site): Promise<void> {
  const { spec } = await site.api.get<Authority>(paths.authorities('default'));
  const address = '127.0.0.1';
  const namespaceSelector = { matchLabels: { 'kubernetes.io/metadata.name': site.tenant.namespace } };
  const allow = [...(spec.issuance?.allow ?? []), { namespaceSelector, ipRanges: [`${address}/32`] }];
  await site.authority.patch({ spec: { issuance: { allow } } });
  await site.tenant.patch('etcd', { spec: { peer: { ipAddresses: [address] } } });
  await site.tenant.ready('etcd');
}

const at = (port: number): string => `https://127.0.0.1:${port}`;

interface Place {
  readonly name: string;
  readonly client: number;
  readonly peer: number;
  readonly data: string;
  readonly initialCluster: string;
}

interface Member {
  readonly mount: LaggingMount;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** A member. It restarts, one member at a time, if its roots differ from those that it started with. */
async function prepareMember(site: Site, place: Place, rolling: ReturnType<typeof inTurn>): Promise<Member> {
  let running: RunningProgram | undefined;
  let loaded = '';
  const roots = (): Promise<string> => readFile(join(mount.folder, 'ca.crt'), 'utf8');
  async function start(): Promise<void> {
    loaded = await roots();
    running = await startProgram([site.etcd, ...flags(place, mount.folder)], /ready to serve client requests/);
  }
  async function reload(): Promise<void> {
    if (running === undefined || (await roots()) === loaded) return;
    await rolling(() =>
      mount.undisturbed(async () => {
        await running?.stop();
        await start();
      }),
    );
  }
  const mount = await site.mount('etcd-peer-tls', { reload });
  await mkdir(place.data, { mode: 0o700 });
  return { mount, start, stop: async () => running?.stop() };
}

interface StatefulSet {
  readonly kind: string;
  readonly spec: {
    readonly template: { readonly spec: { readonly containers: readonly [{ readonly command: string[] }] } };
  };
}

/** The flags of the page, then flags for three members on one machine. If a flag occurs twice, etcd uses the last one. */
function flags({ name, data, client, peer, initialCluster }: Place, tls: string): readonly string[] {
  const manifest = filled(page.file('etcd.yaml'), { '/tls/': `${tls}/`, '$(NAME)': name });
  const objects = parseAllDocuments(manifest).map((document) => document.toJS() as StatefulSet);
  const members = objects.find(({ kind }) => kind === 'StatefulSet');
  const [, ...shown] = members?.spec.template.spec.containers[0].command ?? [];
  return [
    ...shown,
    `--data-dir=${data}`,
    `--listen-client-urls=${at(client)}`,
    `--advertise-client-urls=${at(client)}`,
    `--listen-peer-urls=${at(peer)}`,
    `--initial-advertise-peer-urls=${at(peer)}`,
    `--initial-cluster=${initialCluster}`,
  ];
}

let written = 0;

/** Writes a value through all members, and reads it from each of them. */
async function connect(client: Client, ports: readonly number[]): Promise<Outcome> {
  const put = page.command('etcdctl');
  const host = client.looksForAnother === true ? 'localhost' : '127.0.0.1';
  const members = ports.map((port) => `https://${host}:${port}`);
  const value = `hello-${++written}`;
  const done = await etcdctl(
    client,
    filled(put, { 'https://etcd-0.etcd.shop.svc:2379': members.join(','), hello: value }),
  );
  if (!done.ok) return done;
  const get = filled(put, { 'put greeting hello': 'get greeting --print-value-only' });
  for (const member of members) {
    const answer = await etcdctl(client, filled(get, { 'https://etcd-0.etcd.shop.svc:2379': member }));
    if (!answer.ok) return answer;
    if (answer.stdout !== `${value}\n`) throw new Error(`etcdctl answers: ${answer.stdout}`);
  }
  return { ok: true };
}

async function etcdctl(client: Client, command: string): Promise<Answer> {
  const env = { PATH: `${await folderOfEtcdctl()}:${process.env['PATH']}` };
  const options = { env, own: / --cert=\S+ --key=\S+/, refusal };
  const within = (timeout: string): Promise<Answer> =>
    asClient(client, `${command.trimEnd()} --command-timeout=${timeout}`, options);
  // etcdctl retries until the time-out. A refusal shows within a second; a successful command may need longer.
  return within('1s').catch(() => within('20s'));
}

/** The folder of etcdctl, which is built once. */
async function folderOfEtcdctl(): Promise<string> {
  const sources = join(import.meta.dirname, 'etcdctl');
  return compiled(
    'etcdctl',
    ['go.mod', 'go.sum'].map((name) => join(sources, name)),
    (output) => ({
      command: ['go', 'build', '-ldflags=-s -w', '-o', join(output, 'etcdctl'), 'go.etcd.io/etcd/etcdctl/v3'],
      cwd: sources,
    }),
  );
}

/** Runs tasks one after the other. */
function inTurn(): (work: () => Promise<void>) => Promise<void> {
  let last = Promise.resolve();
  return (work) => {
    const done = last.then(work);
    last = done.catch(() => {});
    return done;
  };
}
