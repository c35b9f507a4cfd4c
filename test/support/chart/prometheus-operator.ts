import assert from 'node:assert/strict';
import { join } from 'node:path';

import { output } from '../../../tools/controlplane/command.ts';

const MODULE = 'github.com/prometheus-operator/prometheus-operator';

/** The CRD files of the Prometheus operator for the kinds that the chart has, from its Go module. */
export async function prometheusCrds(): Promise<readonly string[]> {
  const cwd = join(import.meta.dirname, 'prometheus-operator');
  const { code, stdout, stderr } = await output('go', ['mod', 'download', '-json', MODULE], { cwd });
  assert.equal(code, 0, `${stdout}${stderr}`);
  const { Dir: folder } = JSON.parse(stdout) as { readonly Dir: string };
  return ['servicemonitors', 'podmonitors', 'prometheusrules'].map((kind) =>
    join(folder, 'example/prometheus-operator-crd', `monitoring.coreos.com_${kind}.yaml`),
  );
}
