import { defineResource, type KubeObject } from '../../../../src/kube/index.ts';

/** A fictitious kind. */
export interface Widget extends KubeObject {
  readonly spec?: { readonly size: number };
}

export const widgets = defineResource<Widget>({
  group: 'example.org',
  version: 'v1',
  plural: 'widgets',
  kind: 'Widget',
  namespaced: true,
});

export function widget(name: string, resourceVersion: number, size = 1): Record<string, unknown> {
  return { metadata: { namespace: 'n', name, uid: name, resourceVersion: String(resourceVersion) }, spec: { size } };
}

export function listOf(resourceVersion: number, items: readonly unknown[], continueToken?: string): unknown {
  return { kind: 'List', metadata: { resourceVersion: String(resourceVersion), continue: continueToken }, items };
}

export function event(type: string, object: unknown): unknown {
  return { type, object };
}

export function bookmark(resourceVersion: number): unknown {
  return event('BOOKMARK', { metadata: { resourceVersion: String(resourceVersion) } });
}
