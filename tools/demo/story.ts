import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Secret } from '../../src/kube/index.ts';
import { pollUntil } from '../controlplane/poll.ts';
import { OPERATOR_NAMESPACE, startOperatorProgram, waitForOperator, writeOperatorKubeconfig } from '../operator.ts';
import type { Program } from '../program.ts';
import { type DemoCluster, SHOP } from './cluster.ts';
import { holderOf, readIdentity } from './identity.ts';
import { type Mounts, mountSecrets } from './mounts.ts';
import { followObjects, leafOf, type Objects, readyCondition, short } from './objects.ts';
import { type CallOptions, call, callsOf, keepCalling, reasonOf, refusalsOf, startServer } from './peers.ts';
import type { Screen } from './screen.ts';

/** What the story is told with. */
export interface Stage {
  readonly cluster: DemoCluster;
  readonly screen: Screen;
  /** A folder of the demo's own, for this user alone. */
  readonly folder: string;
  /** What is to be undone at the end, the last first. */
  readonly cleanup: AsyncDisposableStack;
}

/** What is there once the story has been told, and stays until the end. */
export interface Scene {
  readonly objects: Objects;
  /** The call that is accepted. */
  readonly rightCall: CallOptions;
  /** The operator, where it is the demo's, and the server. */
  readonly programs: readonly Program[];
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SERVER_NAME = 'payments.shop.svc';
const CLIENT_PATH = '/ns/shop/sa/checkout';
const SECRETS = { server: 'payments-server-tls', client: 'payments-client-tls', impostor: 'impostor-client-tls' };

/** Generous: what takes so long on any machine is not going to happen. */
const DEADLINE_MS = 120_000;

/** Tells the whole story on a cluster. Throws as soon as something is not as it is told. */
export async function tellStory(stage: Stage): Promise<Scene> {
  stage.screen.step('Install the operator');
  const operator = await install(stage);
  if (operator === undefined) return play(stage);
  const end = operator.exited.then(() => Promise.reject(new Error(`the operator ended:\n${operator.tail()}`)));
  const { programs, ...scene } = await Promise.race([play(stage), end]);
  return { ...scene, programs: [operator, ...programs] };
}

async function play(stage: Stage): Promise<Scene> {
  const { screen, cluster, folder, cleanup } = stage;
  const objects = await followObjects(cluster.connection, cleanup);

  screen.step('A root of your own');
  await showRoot(stage, objects);

  screen.step('Ask for certificates');
  await issue(stage, objects);

  screen.step('Mount the Secrets as files');
  const mounts = mountSecrets(objects, join(folder, 'mounts'));
  await mounts.settled();
  for (const role of ['server', 'client'] as const) {
    const folder = mounts.folder(SECRETS[role]);
    const mounted = holderOf(new X509Certificate(readIdentity(folder).cert)).serial;
    assert.equal(mounted, holderOf(leafIn(objects, role)).serial, `${folder} does not hold what the Secret holds`);
    screen.fact(folder);
  }
  screen.note('kubelet does this in a pod, within 60 to 90 seconds of a change; here it is done at once');

  screen.step('Two programs do mutual TLS');
  const rightCall = await talk(stage, objects, mounts);

  screen.step('Who is turned away');
  await refuse(stage, objects, mounts, rightCall);

  screen.step('Rotate by annotation, under load');
  await rotate(stage, objects, rightCall);
  return { objects, rightCall, programs: [rightCall.server.program] };
}

/** Installs the operator: CRDs, RBAC, and where nothing else runs it, a process on this machine. */
async function install({ cluster, screen, folder, cleanup }: Stage): Promise<Program | undefined> {
  const { kubectl } = cluster;
  if (cluster.hasOperator) {
    screen.fact('the operator runs in the cluster already');
    return undefined;
  }
  // On a real cluster, a Deployment without its image would only be in the way.
  const selector = cluster.isOwn ? [] : ['--selector=app.kubernetes.io/name!=mtls-operator'];
  screen.command(['kubectl apply -k deploy', ...selector].join(' '));
  await screen.during('the API server takes it in', kubectl(['apply', '-k', join(ROOT, 'deploy'), ...selector]));
  const crds = ['mtlsauthorities.mtls-operator.io', 'mtlscertificates.mtls-operator.io'];
  await kubectl(['wait', '--for=condition=Established', '--timeout=120s', 'crd', ...crds]);
  screen.fact('CRDs, namespace, ServiceAccount and RBAC are there');

  const kubeconfig = join(folder, 'operator.kubeconfig');
  await writeOperatorKubeconfig(kubeconfig, kubectl);
  const operator = startOperatorProgram({ args: [`--kubeconfig=${kubeconfig}`] });
  cleanup.defer(async () => {
    const { code } = await screen.during('the operator stops', operator.stop());
    assert.equal(code, 0, `the operator did not stop cleanly:\n${operator.tail()}`);
  });
  await screen.during('the operator starts', waitForOperator(operator));
  const whoami = ['auth', 'whoami', '--output=jsonpath={.status.userInfo.username}'];
  const user = await kubectl([`--kubeconfig=${kubeconfig}`, ...whoami]);
  assert.equal(user, `system:serviceaccount:${OPERATOR_NAMESPACE}:mtls-operator`, 'the operator is somebody else');
  screen.fact('the operator runs on this machine, by a token of its ServiceAccount:');
  screen.note(`  ${user}`);
  return operator;
}

async function showRoot({ screen }: Stage, objects: Objects): Promise<void> {
  const isReady = (): boolean => isTrue(objects.authority('default'));
  await screen.during('the operator makes the root', pollUntil(isReady, DEADLINE_MS));
  const { status } = objects.authority('default') ?? {};
  const root = status?.activeRoot;
  assert.ok(isReady() && root !== undefined, 'the MtlsAuthority "default" does not become Ready');
  const [trusted] = (status?.trustBundle ?? '').split(/(?<=-----END CERTIFICATE-----\n)/);
  const certificate = new X509Certificate(trusted ?? '');
  assert.equal(fingerprintOf(certificate), root.fingerprint);
  assert.ok(certificate.ca && certificate.verify(certificate.publicKey), 'the root is not a self-signed CA');
  screen.fact('MtlsAuthority "default" is Ready, and signs with its root:');
  screen.note(`  ${root.subject}`);
  screen.note(`  fingerprint ${short(root.fingerprint)}, valid until ${root.notAfter.slice(0, 10)}`);
}

async function issue({ cluster, screen }: Stage, objects: Objects): Promise<void> {
  screen.command('kubectl apply -f deploy/examples/payments.yaml');
  await cluster.kubectl(['apply', '-f', join(ROOT, 'deploy/examples/payments.yaml')]);
  const started = performance.now();
  const hasAll = (): boolean =>
    isTrue(objects.certificate('payments')) &&
    [SECRETS.server, SECRETS.client].every((name) => objects.secret(name) !== undefined);
  const view = screen.live(() => objects.rows());
  const isReady = await pollUntil(hasAll, DEADLINE_MS);
  view.end();
  const certificate = objects.certificate('payments');
  const { reason = 'Pending', message = '' } = (certificate && readyCondition(certificate)) ?? {};
  assert.ok(isReady, `MtlsCertificate payments is not Ready: ${reason}: ${message}`);
  for (const role of ['server', 'client'] as const) judge(objects, role);
  screen.fact(
    `Ready ${((performance.now() - started) / 1000).toFixed(1)} s after kubectl: two Secrets of type kubernetes.io/tls`,
  );
  screen.fact('each holds a key, its certificate, and the root that has signed it');
}

/** Holds a Secret against what status says of it, with nothing but node:crypto. */
function judge(objects: Objects, role: 'server' | 'client'): void {
  const secret = objects.secret(SECRETS[role]);
  const entry = objects.certificate('payments')?.status?.secrets?.find((one) => one.role === role);
  assert.ok(secret !== undefined && entry !== undefined, `there is no Secret for the ${role}`);
  assert.equal(secret.type, 'kubernetes.io/tls');
  const [leaf, root] = [leafOf(secret), new X509Certificate(valueOf(secret, 'ca.crt'))];
  assert.equal(
    holderOf(leaf).serial,
    entry.serialNumber,
    `the serial number in status is not that in ${SECRETS[role]}`,
  );
  assert.ok(leaf.verify(root.publicKey), `${SECRETS[role]}: ca.crt has not signed tls.crt`);
  assert.ok(
    leaf.checkPrivateKey(createPrivateKey(valueOf(secret, 'tls.key'))),
    `${SECRETS[role]}: tls.key is another's`,
  );
}

async function talk({ screen, cleanup }: Stage, objects: Objects, mounts: Mounts): Promise<CallOptions> {
  const server = await screen.during('the server starts', startServer(mounts.folder(SECRETS.server)));
  cleanup.defer(async () => void (await server.program.stop()));
  const trust = mounts.folder(SECRETS.client);
  const rightCall = { server, serverName: SERVER_NAME, trust, identity: trust };
  const { accepted, refused } = await screen.during('the client calls', call(rightCall));
  assert.ok(accepted !== undefined, `the client was refused: ${reasonOf(refused)}`);
  assert.equal(accepted.protocol, 'TLSv1.3');
  assert.ok(accepted.server.names.includes(SERVER_NAME), 'the server has another name');
  const spiffeId = `spiffe://${objects.authority('default')?.spec.trustDomain}${CLIENT_PATH}`;
  assert.deepEqual(accepted.client.names, [spiffeId], 'the server takes the client for somebody else');
  assert.equal(
    accepted.server.serial,
    holderOf(leafIn(objects, 'server')).serial,
    'the server shows another certificate',
  );
  assert.equal(
    accepted.client.serial,
    holderOf(leafIn(objects, 'client')).serial,
    'the client shows another certificate',
  );
  screen.fact(`accepted, ${accepted.protocol.replace('v', ' ')}`);
  screen.fact(`the client sees the server as  ${SERVER_NAME}   serial ${short(accepted.server.serial)}`);
  screen.fact(`the server sees the client as  ${spiffeId}`);
  screen.note(`                                 serial ${short(accepted.client.serial)}`);
  return rightCall;
}

async function refuse({ cluster, screen }: Stage, objects: Objects, mounts: Mounts, right: CallOptions): Promise<void> {
  const { identity: _, ...anonymous } = right;
  const nobody = await turnedAway(anonymous);
  assert.match(nobody.client, /certificate required/);
  assert.match(nobody.server, /did not return a certificate/);
  screen.fact('a client without a certificate');
  screen.note(`  the client hears: ${nobody.client}`);
  screen.note(`  the server says:  ${nobody.server}`);

  screen.command('kubectl apply -f tools/demo/other-root.yaml');
  await cluster.kubectl(['apply', '-f', join(ROOT, 'tools/demo/other-root.yaml')]);
  const isThere = pollUntil(() => objects.secret(SECRETS.impostor) !== undefined, DEADLINE_MS);
  assert.ok(await screen.during('another root signs', isThere), 'there is no certificate of another root');
  await mounts.settled();
  const impostor = mounts.folder(SECRETS.impostor);
  const [claimed] = holderOf(new X509Certificate(readIdentity(impostor).cert)).names;
  assert.ok(claimed?.endsWith(CLIENT_PATH), `the impostor claims to be ${claimed}`);
  const stranger = await turnedAway({ ...right, identity: impostor });
  assert.match(stranger.server, /^(UNABLE_TO|SELF_SIGNED)/);
  screen.fact(`an impostor: ${claimed}, but of another root`);
  screen.note(`  the client hears: ${stranger.client}`);
  screen.note(`  the server says:  ${stranger.server}: no root that it trusts has signed this`);

  const again = await call(right);
  assert.ok(again.accepted !== undefined, 'the right client is refused after the wrong ones');
  screen.fact('the right client is accepted as before');
}

/** Makes a call that has to be refused; what each side says about it. */
async function turnedAway(options: CallOptions): Promise<{ client: string; server: string }> {
  const before = refusalsOf(options.server).length;
  const { accepted, refused } = await call(options);
  assert.ok(accepted === undefined, 'a client that has to be refused was accepted');
  const isNoted = await pollUntil(() => refusalsOf(options.server).length > before, DEADLINE_MS);
  const noted = refusalsOf(options.server).at(-1);
  assert.ok(isNoted && noted !== undefined, 'the client was refused, but not by the server');
  return { client: reasonOf(refused), server: reasonOf(noted) };
}

async function rotate({ cluster, screen }: Stage, objects: Objects, rightCall: CallOptions): Promise<void> {
  const token = 'demo-1';
  const roles = ['server', 'client'] as const;
  const before = { server: leafIn(objects, 'server'), client: leafIn(objects, 'client') };
  const caller = keepCalling(rightCall, 50);
  try {
    await pollUntil(() => caller.hasEnded || callsOf(caller).length > 0, DEADLINE_MS);
    assert.ok(!caller.hasEnded, `the client broke down:\n${caller.tail()}`);
    screen.command(`kubectl -n ${SHOP} annotate mcert payments mtls-operator.io/rotate=${token}`);
    await cluster.kubectl(['-n', SHOP, 'annotate', 'mcert', 'payments', `mtls-operator.io/rotate=${token}`]);
    const isNew = (): boolean => {
      const { accepted } = callsOf(caller).at(-1) ?? {};
      return accepted !== undefined && roles.every((role) => accepted[role].serial !== holderOf(before[role]).serial);
    };
    const rotated = pollUntil(isNew, DEADLINE_MS);
    assert.ok(await screen.during('new certificates come into use', rotated), 'no new certificate comes into use');
  } finally {
    await caller.stop();
  }
  const isHandled = (): boolean => objects.certificate('payments')?.status?.lastHandledRotate === token;
  assert.ok(await pollUntil(isHandled, DEADLINE_MS), 'status does not say that the rotation was handled');

  const calls = callsOf(caller);
  const last = calls.at(-1)?.accepted;
  for (const role of roles) {
    judge(objects, role);
    const [old, now] = [before[role], leafIn(objects, role)];
    assert.equal(
      last?.[role].serial,
      holderOf(now).serial,
      `the ${role} shows a certificate that is not in its Secret`,
    );
    assert.ok(!now.publicKey.equals(old.publicKey), `the ${role} has a new certificate for the old key`);
    screen.fact(`${role}  ${short(holderOf(old).serial)} → ${short(holderOf(now).serial)}, with a new key`);
  }
  const refused = calls.flatMap((one) => one.refused ?? []);
  assert.equal(refused.length, 0, `a call was refused during the rotation: ${refused.map(reasonOf)[0]}`);
  assert.ok(!rightCall.server.program.hasEnded, 'the server did not live through the rotation');
  screen.fact(`${calls.length} calls meanwhile, none refused, and nothing was restarted`);
}

const isTrue = (object: Parameters<typeof readyCondition>[0] | undefined): boolean =>
  object !== undefined && readyCondition(object)?.status === 'True';

function leafIn(objects: Objects, role: 'server' | 'client'): X509Certificate {
  const secret = objects.secret(SECRETS[role]);
  assert.ok(secret !== undefined, `there is no Secret ${SECRETS[role]}`);
  return leafOf(secret);
}

const valueOf = (secret: Secret, key: string): Buffer => Buffer.from(secret.data?.[key] ?? '', 'base64');

/** SHA-256 of the DER in lower-case hex, as status writes it. */
const fingerprintOf = ({ fingerprint256 }: X509Certificate): string => fingerprint256.replaceAll(':', '').toLowerCase();
