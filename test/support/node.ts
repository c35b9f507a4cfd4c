import assert from 'node:assert/strict';

import { type TestNode as Node, type NodeOptions, nodeUnavailable, startNode } from '../../tools/node/node.ts';
import { installManifests, type TestCluster, withHelpers } from './cluster.ts';

/** A cluster with a node for one test file, with `deploy/` installed unless the test installs the operator itself. */
export type TestNode = TestCluster & Omit<Node, 'kubectl'>;

export interface TestNodeOptions extends Omit<NodeOptions, 'dir' | 'binaries' | 'log'> {
  /** Whether to install `deploy/`: CRDs, namespace, RBAC, and the Deployment with no replicas; true by default. */
  readonly manifests?: boolean;
}

/**
 * Why tests on a node are skipped on this machine, for the option `skip` of a suite; false if they are not. With CI=true they are
 * never skipped, and fail with the reason.
 */
export function skipWithoutNode(): string | false {
  return process.env['CI'] === 'true' ? false : (nodeUnavailable() ?? false);
}

/** Starts a control plane with a node and installs `deploy/`. */
export async function startTestNode({ manifests = true, ...options }: TestNodeOptions = {}): Promise<TestNode> {
  const why = nodeUnavailable();
  assert.equal(why, undefined, `this machine cannot run a node: ${why}`);
  const node = await startNode(options);
  try {
    const cluster = { ...node, ...withHelpers(node) };
    if (manifests) {
      await installManifests(cluster);
      // The node does not have its image, and tests run the operator as a process.
      await cluster.kubectl(['--namespace=mtls-operator', 'scale', 'deployment', 'mtls-operator', '--replicas=0']);
    }
    return cluster;
  } catch (error) {
    await node.stop();
    throw error;
  }
}
