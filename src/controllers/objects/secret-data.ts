import type { Secret } from '../../kube/index.ts';

/** Encodes a text for the data of a Secret. */
export const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64');

/** The text under a key of a Secret's data; empty if the key is missing. It may be key material: parse it, never keep it. */
export const dataText = ({ data }: Pick<Secret, 'data'>, key: string): string =>
  Buffer.from(data?.[key] ?? '', 'base64').toString('latin1');
