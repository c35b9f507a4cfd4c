import assert from 'node:assert/strict';

import type { RotationStatus } from '../../../src/api/types.ts';
import { type Api, paths } from '../api.ts';
import { eventually } from '../eventually.ts';
import type { Authority } from '../installation.ts';

export type Phase = RotationStatus['phase'];
type Status = NonNullable<Authority['status']>;

/** Requests rotations of an authority's root and watches its status. */
export interface RotatedAuthority {
  readonly status: Status;
  /** Merge patch. */
  patch(patch: object): Promise<void>;
  /** Requests a rotation with a new token. Returns the rotation as soon as it has started. */
  rotate(): Promise<Rotation>;
  /** The phase at a time, for reports. */
  phaseAt(time: number): string;
}

export interface Rotation {
  readonly id: string;
  /** Resolves when this phase is seen. Throws if the rotation ends or stops before. */
  reaches(phase: Phase): Promise<void>;
  abort(): Promise<void>;
  /** Waits until the rotation is over. Returns the phases that were seen, in order. */
  ends(): Promise<readonly Phase[]>;
}

const timeoutMs = 180_000;

/** Watches an existing authority until the API client is closed. */
export async function watchAuthority(api: Api, name: string): Promise<RotatedAuthority> {
  const seen: { readonly at: number; readonly status: Status }[] = [];
  const watching = api.watch<Authority>(paths.authorities(), ({ object }) => {
    if (object.metadata.name === name) seen.push({ at: Date.now(), status: object.status ?? {} });
  });
  // Without events, the waits below time out and report it.
  watching.catch(() => {});

  const current = (): Status => seen.at(-1)?.status ?? {};
  const patch = async (change: object): Promise<void> => {
    await api.patch(paths.authorities(name), change);
  };
  const annotate = (verb: string, value: string): Promise<void> =>
    patch({ metadata: { annotations: { [`mtls-operator.io/${verb}`]: value } } });
  const blockers = (): string => JSON.stringify(current().rotation ?? 'none');

  await eventually(() => assert.ok(seen.length > 0, `MtlsAuthority ${name} is not seen`));
  let rotations = 0;
  return {
    get status() {
      return current();
    },
    patch,
    phaseAt: (time) => seen.findLast(({ at }) => at <= time)?.status.rotation?.phase ?? 'no rotation',
    async rotate() {
      const token = `mesh-${++rotations}`;
      const begin = seen.length;
      const since = (): Status[] => seen.slice(begin).map(({ status }) => status);
      await annotate('rotate-root', token);
      const id = await eventually(
        () => {
          const begun = since().find(({ rotation }) => rotation !== undefined)?.rotation;
          assert.ok(begun !== undefined, 'status.rotation is absent');
          return begun.id;
        },
        { timeoutMs, message: `rotation ${token} does not begin` },
      );
      const phases = (): Phase[] =>
        since()
          .flatMap(({ rotation }) => (rotation?.id === id ? [rotation.phase] : []))
          .filter((phase, index, all) => phase !== all[index - 1]);
      return {
        id,
        async reaches(phase) {
          const message = `rotation ${token} does not reach ${phase}`;
          await eventually(() => assert.ok(phases().includes(phase), blockers()), { timeoutMs, message });
        },
        abort: () => annotate('abort-rotation', id),
        async ends() {
          await eventually(
            () => {
              assert.equal(current().rotation, undefined, blockers());
              assert.equal(current().lastHandledRotateRoot, token);
            },
            { timeoutMs, message: `rotation ${token} does not end` },
          );
          return phases();
        },
      };
    },
  };
}
