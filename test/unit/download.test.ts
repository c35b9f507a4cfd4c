import assert from 'node:assert/strict';
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { downloadBinaries, downloadFolder } from '../../tools/controlplane/download.ts';
import { publishedChecksums } from '../../tools/controlplane/pin-checksums.ts';
import { PROGRAMS } from '../../tools/controlplane/programs.ts';
import { pinnedChecksum, publishedChecksum } from '../../tools/controlplane/releases.ts';
import { eventually } from '../support/eventually.ts';
import { opensslFile, scratchFile } from '../support/openssl.ts';
import { type Answer, officialFiles, type ReleaseServer, startReleaseServer } from '../support/release-server.ts';

const DOWNLOAD = fileURLToPath(new URL('../../tools/controlplane/download.ts', import.meta.url));
const CLUSTER = fileURLToPath(new URL('../../tools/cluster.ts', import.meta.url));

const FILES = officialFiles();
const [ETCD, API_SERVER] = FILES;
assert.ok(ETCD !== undefined && API_SERVER !== undefined);

type Child = ChildProcessByStdio<null, Readable, null>;

/** A program that only reports its version. Its size is that of several packets. */
const program = (version: string): Buffer =>
  Buffer.from(`#!/bin/sh\necho "${version}"\nexit 0\n${'#'.repeat(200_000)}`);

/** Makes an archive of a folder. `build` fills the folder. */
function archive(folder: string, build: (folder: string) => void, flags: readonly string[] = []): Buffer {
  const root = mkdtempSync(join(folder, 'archive-'));
  build(root);
  return execFileSync('tar', ['-cz', '--directory', root, ...flags, '.'], { maxBuffer: 1 << 26 });
}

/** Writes a member. Official archives have no "./" in front of the names. */
function etcdMember(root: string, content = program(ETCD?.version ?? '')): void {
  mkdirSync(dirname(join(root, ETCD?.member ?? '')), { recursive: true });
  writeFileSync(join(root, ETCD?.member ?? ''), content);
}

const WITHOUT_DOT = ['--transform=s,^\\./,,'];

interface World {
  readonly server: ReleaseServer;
  /** The cache of the user. */
  readonly cache: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly log: string[];
  download(options?: Parameters<typeof downloadBinaries>[1]): Promise<string>;
}

/** A server with official files, and a user with an empty cache. */
async function world(
  t: TestContext,
  change: { etcd?: (folder: string) => Buffer; tls?: { key: string; cert: string } } = {},
): Promise<World> {
  const scratch = mkdtempSync(join(tmpdir(), 'mtls-download-'));
  t.after(() => rmSync(scratch, { recursive: true, force: true }));
  const etcd = change.etcd?.(scratch) ?? archive(scratch, etcdMember, WITHOUT_DOT);
  const contents = new Map(FILES.map((file) => [file.path, file.program === 'etcd' ? etcd : program(file.version)]));
  const server = await startReleaseServer({ contents, ...(change.tls && { tls: change.tls }) });
  t.after(() => server.close());
  const cache = join(scratch, 'cache');
  const noProxy = { http_proxy: '', HTTP_PROXY: '', https_proxy: '', HTTPS_PROXY: '' };
  const environment = { ...server.environment, ...noProxy, XDG_CACHE_HOME: cache };
  const log: string[] = [];
  return {
    server,
    cache,
    environment,
    log,
    async download(options = {}) {
      setEnvironment(t, environment);
      return downloadBinaries((line) => log.push(line), { pinned: '', ...options });
    },
  };
}

function setEnvironment(t: TestContext, variables: Readonly<Record<string, string>>): void {
  const before = { ...process.env };
  Object.assign(process.env, variables);
  t.after(() => {
    for (const name of Object.keys(variables)) delete process.env[name];
    Object.assign(process.env, before);
  });
}

/** What a download left in the cache. */
function entries(cache: string): string[] {
  const folder = join(cache, 'mtls-operator', 'controlplane-releases');
  return existsSync(folder) ? readdirSync(folder) : [];
}

async function fails(world: World, message: RegExp, options = {}): Promise<void> {
  await assert.rejects(world.download(options), (error: Error) => {
    assert.equal(error.name, 'DownloadError', String(error.stack));
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\n|\.$/, 'one clause for the line that announces the build');
    return true;
  });
  assert.deepEqual(entries(world.cache), []);
}

/** Another process that downloads. It prints its log and the folder, or the error. `shell`: commands before it. */
function downloadInAnotherProcess({ environment }: World, shell = ':', more: Record<string, string> = {}): Child {
  const source = `
    const { downloadBinaries } = await import(${JSON.stringify(DOWNLOAD)});
    try { console.log('folder ' + await downloadBinaries(console.log, { pinned: '' })); }
    catch (error) { console.log(error.name + ': ' + error.message); }`;
  return spawn('sh', ['-c', `${shell}; exec "$0" "$@"`, process.execPath, '--input-type=module', '--eval', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...environment, ...more },
  });
}

const outputOf = (child: Child): Promise<string> => text(child.stdout);

describe('a download of the control plane', () => {
  test('has the programs of the pinned versions, and happens once', async (t) => {
    const it = await world(t);
    const folder = await it.download();
    assert.equal(folder, downloadFolder({ pinned: '' }));
    for (const file of FILES) {
      const output = execFileSync(join(folder, file.program), { encoding: 'utf8' });
      assert.equal(output, `${file.version}\n`);
    }
    assert.deepEqual(readdirSync(folder).toSorted(), [...PROGRAMS].toSorted());
    assert.match(it.log.join('\n'), /^Downloading the Kubernetes \S+ control plane with etcd \S+ from 127/);
    assert.match(it.log.join('\n'), /checksums that their servers publish/);

    const requests = it.server.requests.length;
    assert.equal(await it.download(), folder);
    assert.equal(it.server.requests.length, requests);
  });

  test('follows the redirects of the official servers', async (t) => {
    const it = await world(t);
    const redirect: Answer = (response) => response.writeHead(302, { location: '/moved/there?token=1' }).end();
    it.server.answers.set(API_SERVER.path, redirect);
    it.server.answers.set('/moved/there', (response) => {
      const content = it.server.contents.get(API_SERVER.path);
      response.writeHead(307, { location: 'binary' }).end();
      it.server.answers.set('/moved/binary', (response) => response.end(content));
    });
    assert.ok(existsSync(join(await it.download(), 'kube-apiserver')));
  });

  test('sends the user and the password of a mirror to its host only, and does not show them', async (t) => {
    const it = await world(t);
    const elsewhere = await startReleaseServer({ contents: new Map() });
    t.after(() => elsewhere.close());
    const seen: (string | undefined)[] = [];
    const content = it.server.contents.get(API_SERVER.path);
    it.server.answers.set(API_SERVER.path, (response) => {
      seen.push(response.req.headers.authorization);
      response.writeHead(302, { location: `${elsewhere.origin}/kubernetes/there` }).end();
    });
    elsewhere.answers.set('there', (response) => {
      seen.push(response.req.headers.authorization);
      response.end(content);
    });
    const mirror = (it.environment['KUBERNETES_MIRROR'] ?? '').replace('//', '//me:s%40cret@');
    setEnvironment(t, { ...it.environment, KUBERNETES_MIRROR: mirror });
    await downloadBinaries((line) => it.log.push(line), { pinned: '' });
    assert.deepEqual(seen, [`Basic ${Buffer.from('me:s@cret').toString('base64')}`, undefined]);
    assert.doesNotMatch(it.log.join(), /cret/);
  });

  test('uses the proxy of the environment', async (t) => {
    const it = await world(t);
    const behind = {
      KUBERNETES_MIRROR: 'http://kubernetes.invalid/kubernetes',
      ETCD_MIRROR: 'http://etcd.invalid/etcd',
    };
    const proxy = { http_proxy: it.server.origin, no_proxy: '', NO_PROXY: '' };
    assert.match(await outputOf(downloadInAnotherProcess(it, ':', { ...behind, ...proxy })), /^folder /m);
  });

  test('is shared by two processes that ask at the same time', async (t) => {
    const it = await world(t);
    const outputs = await Promise.all([1, 2].map(() => outputOf(downloadInAnotherProcess(it))));
    const folders = outputs.map((output) => /^folder (.*)$/m.exec(output)?.[1]);
    assert.ok(folders[0] !== undefined && folders[0] === folders[1], outputs.join('\n'));
    assert.equal(it.server.requests.filter((path) => path === API_SERVER.path).length, 1);
  });

  test('leaves nothing after Ctrl-C, and the next one is complete', async (t) => {
    const it = await world(t);
    it.server.answers.set(API_SERVER.path, (response, content) => {
      response.writeHead(200, { 'content-length': content.length }).write(content.subarray(0, 1000));
    });
    const child = downloadInAnotherProcess(it);
    // The etcd archive was unpacked, and a part of the API server is there.
    await eventually(() =>
      assert.ok(
        entries(it.cache).some((name) =>
          existsSync(join(it.cache, 'mtls-operator', 'controlplane-releases', name, 'kube-apiserver')),
        ),
      ),
    );
    child.kill('SIGINT');
    await eventually(() =>
      assert.deepEqual(
        entries(it.cache).filter((name) => !name.endsWith('.lock')),
        [],
      ),
    );
    it.server.answers.clear();
    assert.ok(existsSync(join(await it.download(), 'kube-apiserver')));
  });
});

describe('a download fails with one clause and leaves nothing', () => {
  const cases: Readonly<Record<string, { end: string; answer: Answer; message: RegExp }>> = {
    'when a file is not on the server': {
      end: '/kubectl',
      answer: (response) => response.writeHead(404).end('<html>'),
      message: /\/kubectl answered with status 404$/,
    },
    'when the server has a page instead of a checksum': {
      end: 'kubectl.sha256',
      answer: (response) => response.end('<html>Log in to the proxy</html>'),
      message: /kubectl\.sha256 has no SHA-256 of .*\/kubectl$/,
    },
    'when the list of checksums does not name the archive': {
      end: 'SHA256SUMS',
      answer: (response) => response.end(`${'0'.repeat(64)}  other.tar.gz\n`),
      message: /SHA256SUMS has no SHA-256 of .*\.tar\.gz$/,
    },
    'when the content has another checksum': {
      end: '/kubectl',
      answer: (response, content) => response.end(content.with(content.length - 1, 0)),
      message: /\/kubectl has the SHA-256 [0-9a-f]{64}, but the server's .*kubectl\.sha256 has [0-9a-f]{64}$/,
    },
    'when a file is empty': {
      end: '/kube-controller-manager',
      answer: (response) => response.end(),
      message: /has the SHA-256 e3b0c442/,
    },
    'when the transfer is cut': {
      end: '/kube-apiserver',
      answer: (response, content) => {
        response.writeHead(200, { 'content-length': content.length });
        response.write(content.subarray(0, 1000), () => response.destroy());
      },
      message: /the transfer of .*\/kube-apiserver was cut$/,
    },
    'when the server stalls in a file': {
      end: '/kube-apiserver',
      answer: (response, content) => void response.write(content.subarray(0, 1000)),
      message: /the server of \S+ sent nothing for 0\.5 s$/,
    },
    'when the server does not answer': {
      end: '.tar.gz',
      answer: () => {},
      message: /the server of \S+ sent nothing for 0\.5 s$/,
    },
    'when a file is too large': {
      end: '/kube-apiserver',
      answer: (response) => void response.writeHead(200, { 'content-length': 2 ** 31 }).write('x'),
      message: /a file is larger than 1024 MiB$/,
    },
    'when redirects do not end': {
      end: '/kubectl',
      answer: (response) => response.writeHead(302, { location: 'kubectl' }).end(),
      message: /\/kubectl redirects more than 5 times$/,
    },
    'when a redirect leads to a file of the machine': {
      end: '/kubectl',
      answer: (response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
      message: /"file:\/\/\/etc\/passwd" is not a URL of http or https$/,
    },
  };
  for (const [when, { end, answer, message }] of Object.entries(cases)) {
    // Shorter than the time that undici itself would wait.
    test(when, { timeout: 60_000 }, async (t) => {
      const it = await world(t);
      it.server.answers.set(end, answer);
      await fails(it, message, /sent nothing/.test(message.source) ? { silenceMs: 500 } : {});
    });
  }

  test('when a name cannot be resolved', async (t) => {
    const it = await world(t);
    const offline = { ...it, environment: { ...it.environment, KUBERNETES_MIRROR: 'https://dl.k8s.invalid' } };
    setEnvironment(t, { ...offline.environment });
    await assert.rejects(
      downloadBinaries(() => {}, { pinned: '' }),
      /because a name cannot be resolved \(.*dl\.k8s\.invalid\)$/,
    );
  });

  test('when the mirror is not a URL', async (t) => {
    const it = await world(t);
    setEnvironment(t, { ...it.environment, KUBERNETES_MIRROR: 'mirror.example.com' });
    await assert.rejects(
      downloadBinaries(() => {}, { pinned: '' }),
      /"mirror\.example\.com\/release\S+" is not a URL of http or https$/,
    );
  });

  for (const mirror of [
    'ftp://user:secret@mirror.example.com',
    'user:secret@mirror.example.com',
    '//u:secret@mirror',
  ]) {
    test(`when the mirror ${mirror} is not a URL of http or https: the message has no password`, async (t) => {
      const it = await world(t);
      setEnvironment(t, { ...it.environment, KUBERNETES_MIRROR: mirror });
      await assert.rejects(
        downloadBinaries(() => {}, { pinned: '' }),
        ({ message }: Error) =>
          /mirror\S+" is not a URL of http or https$/.test(message) && !message.includes('secret'),
      );
    });
  }

  test('when the cache cannot be written', async (t) => {
    const it = await world(t);
    writeFileSync(it.cache, '');
    await fails(it, /ENOTDIR: not a directory/);
  });

  test('when nothing listens at the mirror', async (t) => {
    const it = await world(t);
    // No program listens on this privileged port.
    setEnvironment(t, { ...it.environment, ETCD_MIRROR: 'http://127.0.0.1:1' });
    await assert.rejects(
      downloadBinaries(() => {}, { pinned: '' }),
      /cannot be reached \(connect ECONNREFUSED .*\)$/,
    );
  });

  test('when a redirect gives up TLS', async (t) => {
    const key = scratchFile();
    const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key];
    const cert = opensslFile([
      ...request,
      '-subj',
      '/CN=releases',
      '-addext',
      'subjectAltName=IP:127.0.0.1',
      '-days',
      '2',
    ]);
    const it = await world(t, { tls: { key: readFileSync(key, 'utf8'), cert } });
    const trust = { NODE_EXTRA_CA_CERTS: scratchFile(cert) };
    it.server.answers.set('/kubectl', (response) =>
      response.writeHead(302, { location: 'http://127.0.0.1/kubectl' }).end(),
    );
    assert.match(
      await outputOf(downloadInAnotherProcess(it, ':', trust)),
      /^DownloadError: \S+ redirects from https to http:\/\/127\.0\.0\.1$/m,
    );
    it.server.answers.clear();
    assert.match(await outputOf(downloadInAnotherProcess(it, ':', trust)), /^folder /m);
  });

  test('when the disk is full', async (t) => {
    const it = await world(t);
    // Files of at most 64 blocks of 512 or 1024 bytes.
    const output = await outputOf(downloadInAnotherProcess(it, 'ulimit -f 64'));
    assert.match(output, /^DownloadError: the disk of the cache has no room for \S+$/m);
    assert.deepEqual(entries(it.cache), []);
  });

  test('when a file has another version, or is for another machine', async (t) => {
    const it = await world(t);
    const replace = (content: Buffer): string => {
      const hex = createHash('sha256').update(content).digest('hex');
      it.server.contents.set(API_SERVER.path, content);
      return `${hex}  ${API_SERVER.path}\n`;
    };
    await fails(it, /kube-apiserver does not report the version v1\.\S+$/, {
      pinned: replace(program('Kubernetes v1.9.0')),
    });
    const other = replace(Buffer.from('\x7fELF of another machine'));
    await fails(it, /kube-apiserver does not report the version v1\.\S+$/, { pinned: other });
  });

  test('when there are no official files for the machine', async (t) => {
    const it = await world(t);
    await fails(it, /there is no official kube-apiserver for darwin\/arm64$/, { platform: 'darwin', arch: 'arm64' });
    await fails(it, /there is no official kube-apiserver for linux\/riscv64$/, { platform: 'linux', arch: 'riscv64' });
    assert.equal(downloadFolder({ platform: 'darwin' }), undefined);
  });
});

describe('the archive of etcd', () => {
  const hostile: Readonly<Record<string, (folder: string) => Buffer>> = {
    'has names that leave the folder': (folder) =>
      archive(folder, (root) => etcdMember(root), ['--transform=s,^\\./etcd-,../../../etcd-,']),
    'has absolute names': (folder) =>
      archive(folder, (root) => etcdMember(root), ['--absolute-names', `--transform=s,^\\./etcd-,${folder}/etcd-,`]),
    'has a link in place of the program': (folder) =>
      archive(
        folder,
        (root) => {
          mkdirSync(dirname(join(root, ETCD.member ?? '')));
          symlinkSync('/bin/sh', join(root, ETCD.member ?? ''));
        },
        WITHOUT_DOT,
      ),
    'has a folder in place of the program': (folder) =>
      archive(folder, (root) => mkdirSync(join(root, ETCD.member ?? ''), { recursive: true }), WITHOUT_DOT),
    'is not an archive': () => Buffer.from('not gzip'),
  };
  for (const [what, etcd] of Object.entries(hostile)) {
    test(`is refused when it ${what}`, async (t) => {
      const it = await world(t, { etcd });
      await fails(it, /etcd(-v)?\S* (cannot be unpacked|does not report the version|does not run)/);
      assert.deepEqual(
        readdirSync(dirname(it.cache)).filter((name) => !name.startsWith('archive-')),
        ['cache'],
      );
    });
  }

  test('is unpacked to the program alone: a link of the name of its folder has no effect', async (t) => {
    const it = await world(t, {
      etcd(folder) {
        const plain = archive(folder, etcdMember, WITHOUT_DOT);
        const link = archive(
          folder,
          (root) => symlinkSync('/tmp', join(root, dirname(ETCD.member ?? ''))),
          WITHOUT_DOT,
        );
        // tar reads both parts with --ignore-zeros only; without it, the first part counts.
        return Buffer.concat([plain, link]);
      },
    });
    assert.ok(lstatSync(join(await it.download(), 'etcd')).isFile());
  });
});

describe('a checksum', () => {
  const hex = 'AB'.repeat(32);

  test('is read as Kubernetes and etcd publish it', () => {
    assert.equal(publishedChecksum(API_SERVER, hex), hex.toLowerCase());
    assert.equal(publishedChecksum(API_SERVER, `${hex}\n`), hex.toLowerCase());
    const name = ETCD.path.split('/').at(-1);
    const list = `${'0'.repeat(64)}  x${name}\n${hex}  ${name}\r\n`;
    assert.equal(publishedChecksum(ETCD, list), hex.toLowerCase());
    assert.equal(publishedChecksum(ETCD, list.replace(`  ${name}`, ` *${name}`)), hex.toLowerCase());
    for (const wrong of ['', 'Not Found', hex.slice(1), `${hex}0`, `${hex}  other`]) {
      assert.equal(publishedChecksum(API_SERVER, wrong), undefined, wrong);
    }
  });

  test('that is pinned is used instead of the published one, and has a folder of its own', async (t) => {
    const it = await world(t);
    setEnvironment(t, it.environment);
    const pinned = FILES.map(
      ({ path }) =>
        `${createHash('sha256')
          .update(it.server.contents.get(path) ?? '')
          .digest('hex')}  ${path}\n`,
    ).join('');
    const folder = await it.download({ pinned });
    assert.notEqual(folder, downloadFolder({ pinned: '' }));
    assert.match(it.log.at(-1) ?? '', /checksums that this repository pins/);
    assert.deepEqual(
      it.server.requests.filter((path) => /sha256/i.test(path)),
      [],
    );
  });

  test('that is pinned refuses a server whose files and checksums were both replaced', async (t) => {
    const it = await world(t);
    await fails(it, /, but checksums\.txt has ab/, { pinned: `${hex}  ${API_SERVER.path}\n` });
  });

  test('is pinned for both architectures by one command', async (t) => {
    const all = [...officialFiles('x64'), ...officialFiles('arm64')];
    const server = await startReleaseServer({ contents: new Map(all.map(({ path }) => [path, Buffer.from(path)])) });
    t.after(() => server.close());
    setEnvironment(t, server.environment);
    const text = await publishedChecksums();
    for (const file of all) {
      assert.equal(pinnedChecksum(file, text), createHash('sha256').update(file.path).digest('hex'));
    }
    assert.deepEqual(
      all.map(({ path }) => /arm64/.test(path)),
      [...Array(4).fill(false), ...Array(4).fill(true)],
    );

    server.answers.set('arm64/kubectl.sha256', (response) => response.writeHead(500).end());
    await assert.rejects(publishedChecksums(), /arm64\/kubectl\.sha256 answered with status 500/);
  });
});

test('a failed download is one line, and then the build begins', async (t) => {
  const it = await world(t);
  it.server.answers.set('/kubectl', (response) => response.writeHead(404).end());
  // Without Go, the build ends at once.
  const programs = mkdtempSync(join(dirname(it.cache), 'bin-'));
  symlinkSync('/bin/tar', join(programs, 'tar'));
  const { KUBEBUILDER_ASSETS: _, ...environment } = process.env;
  const child = spawn(process.execPath, [CLUSTER, 'up', '--download', '--name', 'download-test'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...environment, ...it.environment, PATH: programs, XDG_STATE_HOME: dirname(it.cache) },
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  assert.deepEqual(stdout.trimEnd().split('\n').slice(1), [
    `The official files cannot be used: ${it.server.origin}/kubernetes/${API_SERVER.path.replace('kube-apiserver', 'kubectl')} answered with status 404. Building the control plane instead.`,
  ]);
  assert.match(stderr, /^Building the Kubernetes \S+ control plane needs Go, which is not installed/);
});
