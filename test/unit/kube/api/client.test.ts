import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import {
  isKubeError,
  KubeError,
  type KubeErrorCode,
  namespaces,
  type RequestRecord,
  secrets,
} from '../../../../src/kube/index.ts';
import { eventually } from '../../../support/eventually.ts';
import { encodedRoot, root } from '../../../support/fixtures/roots.ts';
import { type Exchange, serve } from './fault-server.ts';
import { listOf, widget, widgets } from './widgets.ts';

const ref = { namespace: 'n', name: 'a' };

function failure(code: KubeErrorCode, outcomeUnknown = false): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof KubeError, String(error));
    assert.deepEqual([error.code, error.outcomeUnknown], [code, outcomeUnknown], error.message);
    return true;
  };
}

test('each method sends the request of its verb by the API conventions', async (t) => {
  const server = await serve(t, (exchange) => exchange.json(200, widget('a', 1)));
  const client = server.client();
  await client.get(widgets, ref);
  await client.create(widgets, { metadata: ref, spec: { size: 1 } });
  await client.replace(widgets, { metadata: { ...ref, resourceVersion: '7' } }, { subresource: 'status' });
  await client.mergePatch(widgets, ref, { metadata: { resourceVersion: '7', labels: { a: null } }, spec: { size: 2 } });
  await client.delete(widgets, ref, { uid: 'u', resourceVersion: '7' });
  await client.get(secrets, { namespace: 'n', name: 's' }, { metadataOnly: true });
  await client.get(namespaces, { name: 'n' });

  const seen = server.exchanges.map(({ method, path }) => `${method} ${path}`);
  assert.deepEqual(seen, [
    'GET /apis/example.org/v1/namespaces/n/widgets/a',
    'POST /apis/example.org/v1/namespaces/n/widgets',
    'PUT /apis/example.org/v1/namespaces/n/widgets/a/status',
    'PATCH /apis/example.org/v1/namespaces/n/widgets/a',
    'DELETE /apis/example.org/v1/namespaces/n/widgets/a',
    'GET /api/v1/namespaces/n/secrets/s',
    'GET /api/v1/namespaces/n',
  ]);
  const [get, create, replace, patch, remove, metadataOnly] = server.exchanges;
  assert.equal(get?.headers['user-agent'], 'test/1');
  assert.equal(get?.headers.authorization, 'Bearer first');
  assert.deepEqual(JSON.parse(create?.body ?? ''), {
    apiVersion: 'example.org/v1',
    kind: 'Widget',
    metadata: ref,
    spec: { size: 1 },
  });
  assert.equal(JSON.parse(replace?.body ?? '').metadata.resourceVersion, '7');
  assert.equal(patch?.headers['content-type'], 'application/merge-patch+json');
  assert.equal(JSON.parse(patch?.body ?? '').metadata.labels.a, null);
  assert.deepEqual(JSON.parse(remove?.body ?? '').preconditions, { uid: 'u', resourceVersion: '7' });
  assert.equal(metadataOnly?.headers.accept, 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1');
});

test('a write can request only the metadata in the answer', async (t) => {
  const server = await serve(t, (exchange) => exchange.json(200, widget('a', 1)));
  const client = server.client();
  await client.create(widgets, { metadata: ref }, { metadataOnly: true });
  await client.replace(widgets, { metadata: ref }, { metadataOnly: true });
  await client.mergePatch(widgets, ref, {}, { subresource: 'status', metadataOnly: true });
  await client.mergePatch(widgets, ref, {});
  const accepted = server.exchanges.map(({ headers }) => headers.accept);
  const metadata = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';
  assert.deepEqual(accepted, [metadata, metadata, metadata, 'application/json']);
});

test('a call without a name or namespace is refused, so that it never addresses the collection', async (t) => {
  const server = await serve(t, (exchange) => exchange.json(200, {}));
  const client = server.client();
  await assert.rejects(client.delete(widgets, { namespace: 'n', name: '' }), TypeError);
  await assert.rejects(client.delete(widgets, { name: 'a' }), TypeError);
  await assert.rejects(client.create(widgets, { metadata: { name: 'a' } }), TypeError);
  assert.equal(server.exchanges.length, 0);
});

test('a list is read page by page', async (t) => {
  const server = await serve(t, ({ query, json }) => {
    if (query.get('continue') === 'next') json(200, listOf(5, [widget('b', 2)]));
    else json(200, listOf(5, [widget('a', 1)], 'next'));
  });
  const names: string[] = [];
  for await (const page of server.client().listPages(widgets, { limit: 1, labelSelector: 'x=y,z' })) {
    assert.equal(page.resourceVersion, '5');
    names.push(...page.items.map((item) => item.metadata.name));
  }
  assert.deepEqual(names, ['a', 'b']);
  for (const { query } of server.exchanges)
    assert.deepEqual([query.get('limit'), query.get('labelSelector')], ['1', 'x=y,z']);
});

test('the next page of a list is requested while the caller processes the last part of a page', async (t) => {
  const server = await serve(t, ({ query, json, status }) => {
    if (query.get('continue') === 'next') status(410, 'Expired');
    else json(200, listOf(5, [widget('a', 1)], 'next'));
  });
  const pages = server.client().listPages(widgets, { limit: 1 });
  await pages.next();
  await eventually(() => assert.equal(server.exchanges.length, 2));
  // The caller gets the error of the next page when it asks for that page.
  await assert.rejects(pages.next(), failure('Gone'));
});

/** Sends a list of `count` objects of a megabyte each, as fast as the client reads them, and counts the objects that were read. */
async function sendMegabytes({ response }: Exchange, count: number, sent: { objects: number }): Promise<void> {
  const item = JSON.stringify({ ...widget('a', 1), note: 'x'.repeat(1_000_000) });
  response.setMaxListeners(0);
  response.writeHead(200, { 'content-type': 'application/json' });
  response.write('{"metadata":{"resourceVersion":"5"},"items":[');
  for (; sent.objects < count && !response.destroyed; sent.objects += 1) {
    if (response.write(sent.objects === 0 ? item : `,${item}`)) continue;
    await Promise.race([once(response, 'drain'), once(response, 'close')]);
  }
  response.end(']}');
}

test('while the caller processes a part of a page, the server waits and the deadline is paused', async (t) => {
  const sent = { objects: 0 };
  const server = await serve(t, (exchange) => void sendMegabytes(exchange, 100, sent));
  const pages = server.client().listPages(widgets, { limit: 500, timeoutMs: 1000 });
  const first = await pages.next();
  const taken = first.value?.items.length ?? 0;
  assert.ok(taken <= 5, `${taken} objects of a megabyte in one part`);
  // Longer than the deadline. The operating system buffers only some megabytes.
  await new Promise((resolve) => setTimeout(resolve, 1200));
  assert.ok(sent.objects < 50, `${sent.objects} megabytes were sent to a caller that is busy with ${taken}`);
  let all = taken;
  for await (const { items } of pages) all += items.length;
  assert.equal(all, 100);
});

test('a list that falls silent in the middle of its body ends with Timeout', async (t) => {
  const server = await serve(t, ({ response }) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{"metadata":{"resourceVersion":"5"},"items":[');
  });
  const reading = server.client().listPages(widgets, { timeoutMs: 50 }).next();
  await assert.rejects(reading, failure('Timeout'));
});

test('a list whose connection breaks before the first part is retried once', async (t) => {
  const server = await serve(t, (exchange) => {
    if (exchange.number > 1) return exchange.json(200, listOf(5, [widget('a', 1)]));
    exchange.response.writeHead(200, { 'content-type': 'application/json' });
    exchange.response.write('{"metadata":{"resourceVersion":"4"},"items":[', () => exchange.reset());
  });
  const found = await Array.fromAsync(server.client().listPages(widgets));
  assert.deepEqual(
    found.map(({ resourceVersion, items }) => [resourceVersion, items.length]),
    [['5', 1]],
  );
});

test('a list whose connection breaks after the first part is not retried, because the next answer could differ', async (t) => {
  const item = JSON.stringify({ ...widget('a', 1), note: 'x'.repeat(5_000_000) });
  const server = await serve(t, ({ response }) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write(`{"metadata":{"resourceVersion":"4"},"items":[${item},${item},{`);
  });
  const pages = server.client().listPages(widgets);
  assert.equal((await pages.next()).value?.items.length, 1);
  const next = assert.rejects(pages.next(), failure('Network'));
  server.exchanges[0]?.reset();
  await next;
  assert.equal(server.exchanges.length, 1);
});

test('a page that the caller does not read is closed', async (t) => {
  let closed: Promise<unknown> | undefined;
  const server = await serve(t, ({ query, json, response }) => {
    if (!query.has('continue')) return json(200, listOf(5, [widget('a', 1)], 'next'));
    closed = once(response, 'close');
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{"metadata":{"resourceVersion":"5"},"items":[');
  });
  for await (const _ of server.client().listPages(widgets, { limit: 1 })) {
    await eventually(() => assert.equal(server.exchanges.length, 2));
    break;
  }
  await closed;
});

test('a throttled write is retried after the time in Retry-After', async (t) => {
  const server = await serve(t, (exchange) => {
    if (exchange.number === 1) exchange.status(429, 'TooManyRequests', 'slow down', { 'retry-after': '1' });
    else exchange.json(201, widget('a', 1));
  });
  const started = performance.now();
  await server.client().create(widgets, { metadata: ref });
  assert.ok(performance.now() - started >= 1000);
  assert.equal(server.exchanges.length, 2);
});

test('a request is retried after a 503 with Retry-After, but not after one without', async (t) => {
  const server = await serve(t, (exchange) => {
    if (exchange.path.endsWith('/b')) exchange.status(503, 'ServiceUnavailable');
    else if (exchange.number === 1) exchange.status(503, 'ServiceUnavailable', 'starting', { 'retry-after': '0' });
    else exchange.json(200, widget('a', 1));
  });
  const client = server.client();
  await client.mergePatch(widgets, ref, {});
  await assert.rejects(client.mergePatch(widgets, { ...ref, name: 'b' }, {}), failure('ServerError', true));
  assert.equal(server.exchanges.length, 3);
});

test('find returns undefined for a missing object, and throws every other error', async (t) => {
  const server = await serve(t, (exchange) => {
    if (exchange.path.endsWith('/gone')) exchange.status(404, 'NotFound');
    else if (exchange.path.endsWith('/secret')) exchange.status(403, 'Forbidden');
    else exchange.json(200, widget('a', 1));
  });
  const client = server.client();
  assert.equal((await client.find(widgets, ref))?.metadata.name, 'a');
  assert.equal(await client.find(widgets, { ...ref, name: 'gone' }), undefined);
  await assert.rejects(client.find(widgets, { ...ref, name: 'secret' }), failure('Forbidden'));
});

test('a request that is always throttled fails after five attempts', async (t) => {
  const server = await serve(t, (exchange) => exchange.status(429, 'TooManyRequests', 'no', { 'retry-after': '0' }));
  await assert.rejects(server.client().get(widgets, ref), failure('TooManyRequests'));
  assert.equal(server.exchanges.length, 5);
});

test('a request fails at once if Retry-After is beyond its deadline', async (t) => {
  const server = await serve(t, (exchange) => exchange.status(429, 'TooManyRequests', 'no', { 'retry-after': '3600' }));
  await assert.rejects(server.client().get(widgets, ref), (error) => {
    assert.ok(isKubeError(error, 'TooManyRequests'));
    assert.equal(error.retryAfterMs, 3_600_000);
    return true;
  });
  assert.equal(server.exchanges.length, 1);
});

test('a write with a server error or a lost answer is not retried, and its outcome is unknown', async (t) => {
  const server = await serve(t, (exchange) => {
    if (exchange.path.endsWith('/error')) exchange.status(500, 'InternalError');
    else if (exchange.path.endsWith('/reset')) exchange.reset();
    else exchange.response.end('{"cut');
  });
  const client = server.client();
  const patch = (name: string): Promise<unknown> => client.mergePatch(widgets, { ...ref, name }, {});
  await assert.rejects(patch('error'), failure('ServerError', true));
  await assert.rejects(patch('reset'), failure('Network', true));
  await assert.rejects(patch('cut'), failure('Malformed', true));
  assert.equal(server.exchanges.length, 3);
});

test('the outcome of a write is known if the server could not be reached', async (t) => {
  const server = await serve(t, (exchange) => exchange.json(200, {}));
  const client = server.client();
  await server.close();
  await assert.rejects(client.mergePatch(widgets, ref, {}), failure('Network', false));
});

test('a read whose connection breaks is retried once', async (t) => {
  const server = await serve(t, (exchange) => {
    if (exchange.number === 1 || exchange.path.endsWith('/b')) exchange.reset();
    else exchange.json(200, widget('a', 1));
  });
  const client = server.client();
  await client.get(widgets, ref);
  await assert.rejects(client.get(widgets, { ...ref, name: 'b' }), failure('Network'));
  assert.equal(server.exchanges.length, 4);
});

test('after a 401 the credentials are read again once', async (t) => {
  const server = await serve(t, (exchange) => {
    if (exchange.headers.authorization === 'Bearer second') return exchange.json(200, widget('a', 1));
    server.writeUser({ token: 'second' });
    return exchange.status(401, 'Unauthorized');
  });
  const client = server.client();
  await Promise.all(Array.from({ length: 20 }, () => client.mergePatch(widgets, ref, {})));
  const refused = server.exchanges.length - 20;
  assert.ok(refused >= 1 && refused <= 20);

  const stubborn = await serve(t, (exchange) => exchange.status(401, 'Unauthorized'));
  await assert.rejects(stubborn.client().get(widgets, ref), failure('Unauthorized'));
  assert.equal(stubborn.exchanges.length, 2);
});

test('a call without an answer in time ends with Timeout, an aborted one with Aborted', async (t) => {
  const server = await serve(t, () => {});
  const client = server.client();
  await assert.rejects(client.get(widgets, ref, { timeoutMs: 30 }), failure('Timeout'));
  // On a busy machine the deadline may end before the request is sent. The outcome is then known.
  for (let timeoutMs = 30, arrived = false; !arrived; timeoutMs *= 2) {
    const name = `late-${timeoutMs}`;
    const call = client.mergePatch(widgets, { ...ref, name }, {}, { timeoutMs });
    const error = await call.catch((error: unknown) => error);
    arrived = server.exchanges.some(({ path }) => path.endsWith(name));
    assert.ok(isKubeError(error, 'Timeout'));
    assert.ok(error.outcomeUnknown || !arrived);
  }
  const controller = new AbortController();
  const before = server.exchanges.length;
  const call = client.mergePatch(widgets, ref, {}, { signal: controller.signal });
  const aborted = assert.rejects(call, failure('Aborted', true));
  await eventually(() => assert.ok(server.exchanges.length > before));
  controller.abort();
  await aborted;
  await assert.rejects(client.mergePatch(widgets, ref, {}, { signal: controller.signal }), failure('Aborted', false));
  assert.equal(server.exchanges.length, before + 1);
});

test('a call that ends before it has a connection ends at once, is never sent, and leaves the connections open', async (t) => {
  const server = await serve(t, () => {});
  const client = server.client();
  const occupied = async (name: string): Promise<() => Promise<unknown>> => {
    const calls = Array.from({ length: 32 }, () => client.get(widgets, { ...ref, name }));
    const exchanges = (): Exchange[] => server.exchanges.filter(({ path }) => path.endsWith(`/${name}`));
    const arrived = eventually(() => assert.equal(exchanges().length, 32));
    return async () => {
      await arrived;
      for (const { json } of exchanges()) json(200, widget(name, 1));
      return Promise.all(calls);
    };
  };
  const release = await occupied('first');
  await eventually(() => assert.equal(server.connections(), 32));
  const controller = new AbortController();
  const { signal } = controller;
  const patch = (options: object): Promise<unknown> => client.mergePatch(widgets, ref, {}, options);
  await assert.rejects(patch({ timeoutMs: 30 }), failure('Timeout', false));
  const aborted = [patch({ signal }), patch({ signal })];
  // These calls wait for the others and need every connection.
  const releaseNext = await occupied('next');
  controller.abort();
  for (const call of aborted) await assert.rejects(call, failure('Aborted', false));
  await release();
  await releaseNext();
  assert.equal(server.exchanges.length, 64);
  assert.equal(server.connections(), 32);
});

test('an answer that stops in the middle ends with Network, Timeout or Aborted', async (t) => {
  const server = await serve(t, ({ response, path, reset }) => {
    response.writeHead(200, path.endsWith('/long') ? { 'content-length': 100 } : {});
    response.write('{"metadata":{"na', () => {
      if (path.endsWith('/reset')) reset();
      if (path.endsWith('/long')) response.socket?.end();
    });
  });
  const client = server.client();
  const patch = (name: string, options = {}): Promise<unknown> =>
    client.mergePatch(widgets, { ...ref, name }, {}, options);
  await assert.rejects(patch('reset'), failure('Network', true));
  await assert.rejects(patch('long'), failure('Network', true));
  const controller = new AbortController();
  const aborted = assert.rejects(patch('waits', { signal: controller.signal }), failure('Aborted', true));
  await eventually(() => assert.equal(server.exchanges.length, 3));
  await new Promise(setImmediate);
  controller.abort();
  await aborted;
  await assert.rejects(client.get(widgets, ref, { timeoutMs: 100 }), failure('Timeout'));
});

test('an answer can arrive in any pieces', async (t) => {
  const text = JSON.stringify({ ...widget('a', 1), note: 'ä€😀'.repeat(20_000) });
  const server = await serve(t, ({ response }) => {
    const bytes = Buffer.from(text);
    response.write(bytes.subarray(0, 100_001), () => response.end(bytes.subarray(100_001)));
  });
  assert.deepEqual(await server.client().get(widgets, ref), JSON.parse(text));
});

test('an error status counts even if its body is truncated', async (t) => {
  const server = await serve(t, ({ response, reset }) => {
    response.writeHead(409);
    response.write('{"reason":', () => reset());
  });
  await assert.rejects(server.client().mergePatch(widgets, ref, {}), failure('Conflict'));
});

test('an answer that cannot be parsed is not quoted in the error', async (t) => {
  const server = await serve(t, (exchange) => exchange.response.end('hunter2'));
  const client = server.client();
  const quotes = (error: unknown): boolean => {
    assert.ok(isKubeError(error, 'Malformed'));
    assert.doesNotMatch(`${error.stack} ${String(error.cause)}`, /hunter2/);
    return true;
  };
  await assert.rejects(client.get(secrets, ref), quotes);
  await assert.rejects(async () => {
    for await (const _ of client.watch(secrets, { resourceVersion: '1' }));
  }, quotes);
});

test('requests share few connections when they follow each other, and at most 32 when they are concurrent', async (t) => {
  const server = await serve(t, (exchange) => setImmediate(() => exchange.json(200, widget('a', 1))));
  const client = server.client();
  for (let count = 0; count < 50; count += 1) await client.get(widgets, ref);
  assert.ok(server.connections() <= 4, `${server.connections()} connections`);
  await Promise.all(Array.from({ length: 200 }, () => client.get(widgets, ref)));
  assert.ok(server.connections() <= 32, `${server.connections()} connections`);
});

test('a new client certificate is used on new connections', async (t) => {
  const server = await serve(t, (exchange) => {
    if (exchange.number === 1) exchange.json(200, widget('a', 1));
    else if (exchange.number === 2) exchange.status(401, 'Unauthorized');
    else exchange.json(200, widget('a', 1));
  });
  const client = server.client();
  await client.get(widgets, ref);
  const { crt, key } = encodedRoot(root());
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  server.writeUser({ 'client-certificate-data': base64(crt), 'client-key-data': base64(key) });
  await client.get(widgets, ref);
  const [first, refused, renewed] = server.exchanges.map(({ port }) => port);
  assert.ok(renewed !== first && renewed !== refused);
});

test('every request is reported with its verb, method, host, kind, code and duration', async (t) => {
  const server = await serve(t, (exchange) => {
    if (exchange.number === 1) exchange.status(429, 'TooManyRequests', 'no', { 'retry-after': '0' });
    else if (exchange.method === 'GET') exchange.json(200, widget('a', 1));
    else exchange.reset();
  });
  const records: RequestRecord[] = [];
  const client = server.client({ onRequest: (record) => records.push(record) });
  await client.get(widgets, ref);
  await assert.rejects(client.mergePatch(widgets, ref, {}));
  assert.deepEqual(
    records.map(({ verb, method, resource, code }) => `${verb} ${method} ${resource} ${code}`),
    ['get GET widgets 429', 'get GET widgets 200', 'patch PATCH widgets Network'],
  );
  assert.ok(records.every(({ seconds }) => seconds >= 0 && seconds < 60));
  for (const { host } of records) assert.match(host, /^(127\.0\.0\.1|localhost):\d+$/);
});
