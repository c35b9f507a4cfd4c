import { isObject } from '../../api/schema.ts';

/**
 * The status of an MtlsCertificate with the field names of this version. The previous version wrote `authorityFingerprint`
 * instead of `rootFingerprint`. Returns any other status unchanged. Never throws.
 */
export function withNewNames(status: unknown): unknown {
  const secrets = isObject(status) ? status['secrets'] : undefined;
  if (!Array.isArray(secrets) || !secrets.some((entry) => isObject(entry) && Object.hasOwn(entry, oldName)))
    return status;
  return { ...(status as object), secrets: secrets.map(withRenamedEntries) };
}

const oldName = 'authorityFingerprint';

function withRenamedEntries(entry: unknown): unknown {
  const { replaced, ...rest } = renamed(entry);
  return { ...rest, ...(Array.isArray(replaced) && { replaced: replaced.map(renamed) }) };
}

function renamed(entry: unknown): Readonly<Record<string, unknown>> {
  if (!isObject(entry)) return {};
  const { [oldName]: rootFingerprint, ...rest } = entry;
  return rootFingerprint === undefined ? entry : { rootFingerprint, ...rest };
}
