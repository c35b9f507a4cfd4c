import type { Secret } from '../../kube/index.ts';

/** Base64 of a text, as the data of a Secret holds it. */
export const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64');

/** The text under a key of a Secret's data; empty when there is none. May be key material: it is parsed, and not kept. */
export const dataText = ({ data }: Pick<Secret, 'data'>, key: string): string =>
  Buffer.from(data?.[key] ?? '', 'base64').toString('latin1');
