import { join } from 'node:path';

import { goModule } from '../../../tools/go-tools/go-modules.ts';

/** The CRD files of the Prometheus operator for the kinds that the chart has, from its Go module. */
export async function prometheusCrds(): Promise<readonly string[]> {
  const folder = await goModule('prometheus-operator');
  return ['servicemonitors', 'podmonitors', 'prometheusrules'].map((kind) =>
    join(folder, 'example/prometheus-operator-crd', `monitoring.coreos.com_${kind}.yaml`),
  );
}
