import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Secret } from '../../src/kube/index.ts';
import { pollUntil } from '../controlplane/poll.ts';
import { OPERATOR_NAMESPACE, startOperatorProgram, waitForOperator, writeOperatorKubeconfig } from '../operator.ts';
import type { Program } from '../program.ts';
import type { DemoCluster } from './cluster.ts';
import { SHOP } from './footprint.ts';
import { holderOf, readIdentity } from './identity.ts';
import { type Mounts, mountSecrets } from './mounts.ts';
import { followObjects, leafOf, type Objects, readyCondition, short } from './objects.ts';
import { type Call, type CallOptions, call, callsOf, keepCalling, reasonOf, refusalsOf, startServer } from './peers.ts';
import type { Row, Screen } from './screen.ts';

/** The inputs of the demo. */
export interface Stage {
  readonly cluster: DemoCluster;
  readonly screen: Screen;
  /** A folder for the demo's keys, which only this user can read. */
  readonly folder: string;
  /** Cleanup at the end, in reverse order. */
  readonly cleanup: AsyncDisposableStack;
}

/** What keeps running after the last step. */
export interface Scene {
  /** Commands that the user can try, without `kubectl` in front. */
  readonly commands: readonly string[];
  /** Starts to follow the scene. */
  readonly follow: (cleanup: AsyncDisposableStack) => Following;
}

/** What the screen shows until the user ends the demo. */
export interface Following {
  readonly rows: () => readonly Row[];
  /** The demo fails when one of them ends. */
  readonly programs: readonly Program[];
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SERVER_NAME = 'payments.shop.svc';
const CLIENT_PATH = '/ns/shop/sa/checkout';
const SECRETS = { server: 'payments-server-tls', client: 'payments-client-tls', impostor: 'impostor-client-tls' };

/** Generous, for slow machines. */
const DEADLINE_MS = 120_000;

/** Runs all steps on a cluster. Throws at the first check that fails. */
export async function runSteps(stage: Stage): Promise<Scene> {
  stage.screen.step('Install the operator');
  const operator = await install(stage);
  if (operator === undefined) return play(stage);
  const end = operator.exited.then(() =>
    Promise.reject(new Error(`the operator ended; the end of its output:\n${operator.tail()}`)),
  );
  const { commands, follow } = await Promise.race([play(stage), end]);
  return {
    commands,
    follow(cleanup) {
      const { rows, programs } = follow(cleanup);
      return { rows, programs: [operator, ...programs] };
    },
  };
}

async function play(stage: Stage): Promise<Scene> {
  const { screen, cluster, folder, cleanup } = stage;
  const objects = await followObjects(cluster.connection, cleanup);

  screen.step('Create a root');
  await showRoot(stage, objects);

  screen.step('Request certificates');
  await issue(stage, objects);

  screen.step('Mount the Secrets as files');
  const mounts = mountSecrets(objects, join(folder, 'mounts'));
  await mounts.settled();
  for (const role of ['server', 'client'] as const) {
    const folder = mounts.folder(SECRETS[role]);
    const mounted = holderOf(new X509Certificate(readIdentity(folder).cert)).serial;
    assert.equal(
      mounted,
      holderOf(leafIn(objects, role)).serial,
      `${folder} does not have the certificate of the Secret`,
    );
    screen.fact(folder);
  }
  screen.note('In a pod, kubelet updates the files within 60 to 90 seconds. The demo does it immediately.');

  screen.step('Connect a client to a server with mutual TLS');
  const rightCall = await talk(stage, objects, mounts);

  screen.step('Refuse other clients');
  await refuse(stage, objects, mounts, rightCall);

  screen.step('Rotate the certificates under load');
  await rotate(stage, objects, rightCall);
  return {
    commands: [
      'get mtls -A -o wide',
      `-n ${SHOP} describe mcert payments`,
      `-n ${SHOP} annotate mcert payments mtls-operator.io/rotate=again --overwrite`,
      `-n ${SHOP} delete secret payments-server-tls`,
      'explain mcert.spec',
    ],
    follow(cleanup) {
      const caller = keepCalling(rightCall, 1000);
      cleanup.defer(async () => void (await caller.stop()));
      return {
        rows: () => [...objects.rows(), callRow(callsOf(caller), 'the last call')],
        programs: [caller, rightCall.server.program],
      };
    },
  };
}

/** The last call of a client. */
export function callRow(calls: readonly Call[], title: string): Row {
  const { accepted, refused } = calls.at(-1) ?? {};
  if (refused !== undefined) return { state: 'bad', text: `${title} was refused: ${reasonOf(refused)}` };
  if (accepted === undefined) return { state: 'waiting', text: `${title}: waiting` };
  const [server, client] = [short(accepted.server.serial), short(accepted.client.serial)];
  return { state: 'good', text: `${title}: server ${server}, client ${client}` };
}

/** Installs CRDs and RBAC, and runs the operator on this machine, unless the cluster already has an operator. */
async function install({ cluster, screen, folder, cleanup }: Stage): Promise<Program | undefined> {
  const { kubectl } = cluster;
  if (cluster.hasOperator) {
    screen.fact('the cluster already runs an operator');
    return undefined;
  }
  // On the user's cluster the Deployment is left out, because there is no image for it.
  const selector = cluster.isOwn ? [] : ['--selector=app.kubernetes.io/component!=operator'];
  screen.command(['kubectl apply -k deploy', ...selector].join(' '));
  const installed =
    cluster.footprint === undefined ? kubectl(['apply', '-k', join(ROOT, 'deploy')]) : cluster.footprint.install();
  await screen.during<unknown>('applying the manifests', installed);
  const crds = ['mtlsauthorities.mtls-operator.io', 'mtlscertificates.mtls-operator.io'];
  await kubectl(['wait', '--for=condition=Established', '--timeout=120s', 'crd', ...crds]);
  screen.fact('the CRDs, namespace, ServiceAccount and RBAC are installed');

  const kubeconfig = join(folder, 'operator.kubeconfig');
  await writeOperatorKubeconfig(kubeconfig, kubectl);
  // An operator that starts during the cleanup would create objects again.
  assert.ok(!cleanup.disposed, 'the demo has been interrupted');
  const operator = startOperatorProgram({ args: [`--kubeconfig=${kubeconfig}`] });
  cleanup.defer(async () => {
    const { code } = await screen.during('stopping the operator', operator.stop());
    assert.equal(code, 0, `the operator did not stop cleanly; the end of its output:\n${operator.tail()}`);
  });
  await screen.during('starting the operator', waitForOperator(operator));
  const whoami = ['auth', 'whoami', '--output=jsonpath={.status.userInfo.username}'];
  const user = await kubectl([`--kubeconfig=${kubeconfig}`, ...whoami]);
  assert.equal(user, `system:serviceaccount:${OPERATOR_NAMESPACE}:mtls-operator`, 'the operator has another user name');
  screen.fact('the operator runs on this machine, with a token of its ServiceAccount:');
  screen.note(`  ${user}`);
  return operator;
}

export async function showRoot({ screen }: Stage, objects: Objects): Promise<void> {
  const isReady = (): boolean => isTrue(objects.authority('default'));
  await screen.during('waiting for the root', pollUntil(isReady, DEADLINE_MS));
  const { status } = objects.authority('default') ?? {};
  const root = status?.activeRoot;
  assert.ok(isReady() && root !== undefined, 'the MtlsAuthority "default" is not Ready');
  const [trusted] = (status?.trustBundle ?? '').split(/(?<=-----END CERTIFICATE-----\n)/);
  const certificate = new X509Certificate(trusted ?? '');
  assert.equal(fingerprintOf(certificate), root.fingerprint);
  assert.ok(certificate.ca && certificate.verify(certificate.publicKey), 'the root is not a self-signed CA');
  screen.fact('the MtlsAuthority "default" is Ready. Its root:');
  screen.note(`  ${root.subject}`);
  screen.note(`  fingerprint ${short(root.fingerprint)}, valid until ${root.notAfter.slice(0, 10)}`);
}

async function issue({ cluster, screen }: Stage, objects: Objects): Promise<void> {
  screen.command('kubectl apply -f deploy/examples/payments.yaml');
  await cluster.footprint?.createNamespace();
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
  assert.ok(isReady, `the MtlsCertificate "payments" is not Ready:  ${reason}: ${message}`);
  for (const role of ['server', 'client'] as const) judge(objects, role);
  screen.fact(
    `Ready ${((performance.now() - started) / 1000).toFixed(1)} s after kubectl apply: two Secrets of type kubernetes.io/tls`,
  );
  screen.fact('each Secret holds a key, its certificate and the root that signed it');
}

/** Checks a Secret with node:crypto and compares it with status. */
function judge(objects: Objects, role: 'server' | 'client'): void {
  const secret = objects.secret(SECRETS[role]);
  const entry = objects.certificate('payments')?.status?.secrets?.find((one) => one.role === role);
  assert.ok(secret !== undefined && entry !== undefined, `status or the cluster has no Secret for the ${role}`);
  assert.equal(secret.type, 'kubernetes.io/tls');
  const [leaf, root] = [leafOf(secret), new X509Certificate(valueOf(secret, 'ca.crt'))];
  assert.equal(
    holderOf(leaf).serial,
    entry.serialNumber,
    `the serial numbers in status and in the Secret ${SECRETS[role]} differ`,
  );
  assert.ok(leaf.verify(root.publicKey), `Secret ${SECRETS[role]}: the root in ca.crt has not signed tls.crt`);
  assert.ok(
    leaf.checkPrivateKey(createPrivateKey(valueOf(secret, 'tls.key'))),
    `Secret ${SECRETS[role]}: tls.key does not belong to tls.crt`,
  );
}

async function talk({ screen, cleanup }: Stage, objects: Objects, mounts: Mounts): Promise<CallOptions> {
  const server = await screen.during('starting the server', startServer(mounts.folder(SECRETS.server)));
  cleanup.defer(async () => void (await server.program.stop()));
  const trust = mounts.folder(SECRETS.client);
  const rightCall = { server, serverName: SERVER_NAME, trust, identity: trust };
  const { accepted, refused } = await screen.during('connecting the client', call(rightCall));
  assert.ok(accepted !== undefined, `the server refused the client: ${reasonOf(refused)}`);
  assert.equal(accepted.protocol, 'TLSv1.3');
  assert.ok(
    accepted.server.names.includes(SERVER_NAME),
    `the certificate of the server does not have the name ${SERVER_NAME}`,
  );
  const spiffeId = `spiffe://${objects.authority('default')?.spec.trustDomain}${CLIENT_PATH}`;
  assert.deepEqual(accepted.client.names, [spiffeId], 'the certificate of the client has other names');
  assert.equal(
    accepted.server.serial,
    holderOf(leafIn(objects, 'server')).serial,
    'the server presents a certificate that is not in its Secret',
  );
  assert.equal(
    accepted.client.serial,
    holderOf(leafIn(objects, 'client')).serial,
    'the client presents a certificate that is not in its Secret',
  );
  screen.fact(`connected with ${accepted.protocol.replace('v', ' ')}`);
  screen.fact(`the client verified the server:  ${SERVER_NAME}   serial ${short(accepted.server.serial)}`);
  screen.fact(`the server verified the client:  ${spiffeId}`);
  screen.note(`                                   serial ${short(accepted.client.serial)}`);
  return rightCall;
}

async function refuse({ cluster, screen }: Stage, objects: Objects, mounts: Mounts, right: CallOptions): Promise<void> {
  const { identity: _, ...anonymous } = right;
  const withoutCertificate = await refusedCall(anonymous);
  assert.match(withoutCertificate.client, /certificate required/);
  assert.match(withoutCertificate.server, /did not return a certificate/);
  screen.fact('refused: a client without a certificate');
  screen.note(`  client error: ${withoutCertificate.client}`);
  screen.note(`  server error: ${withoutCertificate.server}`);

  screen.command('kubectl apply -f tools/demo/other-root.yaml');
  await cluster.kubectl(['apply', '-f', join(ROOT, 'tools/demo/other-root.yaml')]);
  const isThere = pollUntil(() => objects.secret(SECRETS.impostor) !== undefined, DEADLINE_MS);
  assert.ok(
    await screen.during('waiting for a certificate of another root', isThere),
    `the Secret ${SECRETS.impostor} does not exist`,
  );
  await mounts.settled();
  const impostor = mounts.folder(SECRETS.impostor);
  const [claimed] = holderOf(new X509Certificate(readIdentity(impostor).cert)).names;
  assert.ok(claimed?.endsWith(CLIENT_PATH), `the impostor claims to be ${claimed}`);
  const fromOtherRoot = await refusedCall({ ...right, identity: impostor });
  assert.match(fromOtherRoot.server, /^(UNABLE_TO|SELF_SIGNED)/);
  screen.fact(`refused: ${claimed}, signed by another root`);
  screen.note(`  client error: ${fromOtherRoot.client}`);
  screen.note(`  server error: ${fromOtherRoot.server} (no trusted root has signed it)`);

  const again = await call(right);
  assert.ok(again.accepted !== undefined, 'the server now refuses the first client');
  screen.fact('accepted: the client with its own certificate');
}

/** Makes a call that the server must refuse. Returns the error of each side. */
async function refusedCall(options: CallOptions): Promise<{ client: string; server: string }> {
  const before = refusalsOf(options.server).length;
  const { accepted, refused } = await call(options);
  assert.ok(accepted === undefined, 'the server accepted a client that it must refuse');
  const isReported = await pollUntil(() => refusalsOf(options.server).length > before, DEADLINE_MS);
  const reported = refusalsOf(options.server).at(-1);
  assert.ok(isReported && reported !== undefined, 'the client failed, but the server reported no refusal');
  return { client: reasonOf(refused), server: reasonOf(reported) };
}

async function rotate({ cluster, screen }: Stage, objects: Objects, rightCall: CallOptions): Promise<void> {
  const token = 'demo-1';
  const roles = ['server', 'client'] as const;
  const before = { server: leafIn(objects, 'server'), client: leafIn(objects, 'client') };
  const caller = keepCalling(rightCall, 50);
  try {
    await pollUntil(() => caller.hasEnded || callsOf(caller).length > 0, DEADLINE_MS);
    assert.ok(!caller.hasEnded, `the client ended; the end of its output:\n${caller.tail()}`);
    screen.command(`kubectl -n ${SHOP} annotate mcert payments mtls-operator.io/rotate=${token}`);
    await cluster.kubectl(['-n', SHOP, 'annotate', 'mcert', 'payments', `mtls-operator.io/rotate=${token}`]);
    const isNew = (): boolean => {
      const { accepted } = callsOf(caller).at(-1) ?? {};
      return accepted !== undefined && roles.every((role) => accepted[role].serial !== holderOf(before[role]).serial);
    };
    const rotated = pollUntil(isNew, DEADLINE_MS);
    assert.ok(
      await screen.during('waiting for connections with the new certificates', rotated),
      'the programs do not use the new certificates',
    );
  } finally {
    await caller.stop();
  }
  const isHandled = (): boolean => objects.certificate('payments')?.status?.lastHandledRotate === token;
  assert.ok(await pollUntil(isHandled, DEADLINE_MS), `status.lastHandledRotate is not "${token}"`);

  const calls = callsOf(caller);
  const last = calls.at(-1)?.accepted;
  for (const role of roles) {
    judge(objects, role);
    const [old, now] = [before[role], leafIn(objects, role)];
    assert.equal(
      last?.[role].serial,
      holderOf(now).serial,
      `the ${role} presents a certificate that is not in its Secret`,
    );
    assert.ok(!now.publicKey.equals(old.publicKey), `the new certificate of the ${role} has the old key`);
    screen.fact(`${role}  ${short(holderOf(old).serial)} → ${short(holderOf(now).serial)}, with a new key`);
  }
  const refused = calls.flatMap((one) => one.refused ?? []);
  assert.equal(refused.length, 0, `a call failed during the rotation: ${refused.map(reasonOf)[0]}`);
  assert.ok(!rightCall.server.program.hasEnded, 'the server ended during the rotation');
  screen.fact(`${calls.length} calls during the rotation: none refused, no program restarted`);
}

const isTrue = (object: Parameters<typeof readyCondition>[0] | undefined): boolean =>
  object !== undefined && readyCondition(object)?.status === 'True';

function leafIn(objects: Objects, role: 'server' | 'client'): X509Certificate {
  const secret = objects.secret(SECRETS[role]);
  assert.ok(secret !== undefined, `the Secret ${SECRETS[role]} does not exist`);
  return leafOf(secret);
}

const valueOf = (secret: Secret, key: string): Buffer => Buffer.from(secret.data?.[key] ?? '', 'base64');

/** SHA-256 of the DER in lower-case hex, as in status. */
const fingerprintOf = ({ fingerprint256 }: X509Certificate): string => fingerprint256.replaceAll(':', '').toLowerCase();
