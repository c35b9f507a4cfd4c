import assert from 'node:assert/strict';

import type { RotationStatus } from '../../../src/api/types.ts';
import { type Api, paths } from '../api.ts';
import { eventually } from '../eventually.ts';
import type { Authority } from '../installation.ts';

export type Phase = RotationStatus['phase'];
type Status = NonNullable<Authority['status']>;

/** An MtlsAuthority and the rotations of its root, as a person asks for them and a watcher sees them. */
export interface RotatedAuthority {
  readonly status: Status;
  /** Merge patch. */
  patch(patch: object): Promise<void>;
  /** Asks for a rotation with a token that was not used before; returns it when it has begun. */
  rotate(): Promise<Rotation>;
  /** What was going on at a time, for reports. */
  phaseAt(time: number): string;
}

export interface Rotation {
  readonly id: string;
  /** Resolves as soon as this phase is seen. Throws when the rotation ends or stands still before. */
  reaches(phase: Phase): Promise<void>;
  abort(): Promise<void>;
  /** Waits until it is over; returns the phases that were seen, in their order. */
  ends(): Promise<readonly Phase[]>;
}

const timeoutMs = 180_000;

/** Watches an authority that exists, until the API is closed. */
export async function watchAuthority(api: Api, name: string): Promise<RotatedAuthority> {
  const seen: { readonly at: number; readonly status: Status }[] = [];
  const watching = api.watch<Authority>(paths.authorities(), ({ object }) => {
    if (object.metadata.name === name) seen.push({ at: Date.now(), status: object.status ?? {} });
  });
  // Nothing is seen any more, and what is waited for does not come.
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
          const message = `rotation ${token} does not get to ${phase}`;
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
