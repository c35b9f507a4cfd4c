import { chmod, chown, mkdir, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The files of a Secret volume, by name. */
export type SecretFiles = Readonly<Record<string, Uint8Array>>;

/** The files of a mounted Secret. `data` is base64, as in the Kubernetes API. */
export function secretFiles(secret: { readonly data?: Readonly<Record<string, string>> | undefined }): SecretFiles {
  return Object.fromEntries(
    Object.entries(secret.data ?? {}).map(([name, value]) => [name, Buffer.from(value, 'base64')]),
  );
}

/** Ownership of the files. */
export interface MountOptions {
  /** The pod's `fsGroup`: the group of the files, which may read them (`defaultMode: 0640`). Needs root. */
  readonly group?: number;
}

/**
 * Writes `files` into `folder` as kubelet mounts a Secret and updates the mount: the payload goes into a new timestamped
 * folder, and one rename of the `..data` link activates it. A reader that resolves `..data` once gets either all old files
 * or all new files (k8s.io/kubernetes/pkg/volume/util AtomicWriter).
 * Modes are stricter than kubelet's 0644, because without a group all readers are the same user.
 */
export async function mountSecret(folder: string, files: SecretFiles, { group }: MountOptions = {}): Promise<void> {
  const modes = group === undefined ? { folder: 0o700, file: 0o600 } : { folder: 0o750, file: 0o640 };
  const share = async (path: string, mode: number): Promise<void> => {
    if (group === undefined) return;
    await chown(path, process.getuid?.() ?? 0, group);
    await chmod(path, mode);
  };
  await mkdir(folder, { recursive: true, mode: modes.folder });
  await share(folder, modes.folder);
  const data = join(folder, '..data');
  const previous = await readlink(data).catch(() => undefined);

  const payload = `..${new Date().toISOString().replace(/\D/g, '_')}${process.hrtime.bigint()}`;
  await mkdir(join(folder, payload), { mode: modes.folder });
  await share(join(folder, payload), modes.folder);
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder, payload, name), content, { mode: modes.file });
    await share(join(folder, payload, name), modes.file);
  }

  const staged = join(folder, '..data_tmp');
  await rm(staged, { force: true });
  await symlink(payload, staged);
  await rename(staged, data);

  const visible = new Set((await readdir(folder)).filter((name) => !name.startsWith('..')));
  for (const name of Object.keys(files)) {
    if (!visible.delete(name)) await symlink(join('..data', name), join(folder, name));
  }
  for (const stale of visible) await rm(join(folder, stale));
  if (previous !== undefined) await rm(join(folder, previous), { recursive: true, force: true });
}
