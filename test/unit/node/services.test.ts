import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { replyTo } from '../../../tools/node/dns.ts';
import { ServiceTable } from '../../../tools/node/service-table.ts';

const A = 1;
const AAAA = 28;

function queryFor(name: string, type = A): Buffer {
  const labels = name.split('.').flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]);
  const header = Buffer.from([0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([header, ...labels, Buffer.from([0, 0, type, 0, 1])]);
}

/** The code of a reply, and its addresses. */
function read(reply: Buffer | undefined) {
  assert.ok(reply !== undefined);
  assert.equal(reply.readUInt16BE(0), 0x1234, 'the id of the query');
  const count = reply.readUInt16BE(6);
  const records = reply.subarray(reply.length - 16 * count);
  return {
    code: reply.readUInt8(3) & 0x0f,
    addresses: Array.from({ length: count }, (_, index) =>
      records.subarray(16 * index + 12, 16 * index + 16).join('.'),
    ),
  };
}

describe('the DNS of a node', () => {
  const lookup = (name: string) => (name === 'db.shop.svc' ? ['10.96.3.4', '10.96.3.5'] : undefined);

  test('answers with all addresses of a name, in any case of letters', () => {
    assert.deepEqual(read(replyTo(queryFor('DB.shop.svc'), lookup)), {
      code: 0,
      addresses: ['10.96.3.4', '10.96.3.5'],
    });
  });

  test('has no IPv6 addresses for a name that exists, so that clients use IPv4', () => {
    assert.deepEqual(read(replyTo(queryFor('db.shop.svc', AAAA), lookup)), { code: 0, addresses: [] });
  });

  test('reports a name that does not exist, so that clients try the next domain', () => {
    assert.deepEqual(read(replyTo(queryFor('db.shop.svc.cluster.local'), lookup)), { code: 3, addresses: [] });
  });

  test('ignores replies, truncated queries and endless names', () => {
    const query = queryFor('db.shop.svc');
    const reply = Buffer.from(query);
    reply.writeUInt8(0x81, 2);
    for (const bytes of [reply, ...Array.from(query.keys(), (size) => query.subarray(0, size))])
      assert.equal(replyTo(bytes, lookup), undefined);
  });
});

describe('the Services of a node', () => {
  const table = new ServiceTable('cluster.local');
  const service = (name: string, clusterIP: string) => ({
    metadata: { namespace: 'shop', name },
    spec: {
      clusterIP,
      ports: [
        { name: 'https', port: 443, protocol: 'TCP' },
        { name: 'dns', port: 53, protocol: 'UDP' },
      ],
    },
  });
  const slice = (name: string, address: string, ready = true) => ({
    metadata: { namespace: 'shop', name: `${name}-${address}`, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [address], hostname: `${name}-0`, conditions: { ready } }],
    ports: [{ name: 'https', port: 8443 }],
  });
  table.setServices([service('db', '10.96.3.4'), service('peers', 'None'), service('idle', '10.96.3.5')]);
  table.setSlices([slice('db', '10.88.0.2'), slice('db', '10.88.0.3', false), slice('peers', '10.88.0.4')]);

  test('have TCP addresses, unless they are headless', () => {
    const hosts = ['10.96.3.4', '10.96.3.5'];
    assert.deepEqual(
      table.frontends(),
      hosts.map((host) => ({ host, port: 443 })),
    );
  });

  test('lead to ready pods at their own port', () => {
    assert.deepEqual(table.backends({ host: '10.96.3.4', port: 443 }), [{ host: '10.88.0.2', port: 8443 }]);
    assert.deepEqual(table.backends({ host: '10.96.3.5', port: 443 }), []);
  });

  test('have names: of the Service, of its pods if it is headless, and of a pod with a host name', () => {
    const addresses = {
      'db.shop.svc.cluster.local': ['10.96.3.4'],
      'peers.shop.svc.cluster.local': ['10.88.0.4'],
      'peers-0.peers.shop.svc.cluster.local': ['10.88.0.4'],
      'peers-1.peers.shop.svc.cluster.local': undefined,
      'db.other.svc.cluster.local': undefined,
      'db.shop.svc': undefined,
      'example.com': undefined,
    };
    for (const [name, expected] of Object.entries(addresses)) assert.deepEqual(table.addressesOf(name), expected, name);
  });
});
