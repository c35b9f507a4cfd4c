import type { Socket } from 'node:net';

/** Copies bytes both ways, including the end of each direction. */
export function joinStreams(one: Socket, other: Socket): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.setNoDelay(true);
    from.pipe(to);
    // An error is followed by "close".
    from.on('error', () => {});
    from.on('close', () => to.destroy());
  }
}
