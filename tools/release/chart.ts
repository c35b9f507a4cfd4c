import { parseDocument, stringify } from 'yaml';

import type { Change } from './notes.ts';

export interface ChartRelease {
  /** The repository of the image, without tag. */
  readonly image: string;
  readonly version: string;
  readonly changes: readonly Change[];
  /** The URL of the sources; empty when it is not known. */
  readonly source: string;
}

/** Chart.yaml with what Artifact Hub shows: https://artifacthub.io/docs/topics/annotations/helm */
export function releasedChart(chart: string, { image, version, changes, source }: ChartRelease): string {
  const document = parseDocument(chart);
  const images = [{ name: 'mtls-operator', image: `${image}:${version}`, platforms: ['linux/amd64', 'linux/arm64'] }];
  document.setIn(['annotations', 'artifacthub.io/images'], stringify(images));
  if (changes.length > 0) document.setIn(['annotations', 'artifacthub.io/changes'], stringify(changes));
  if (source !== '') document.setIn(['sources'], [source]);
  return document.toString({ lineWidth: 0 });
}

/** values.yaml with the published image. Its tag is the appVersion of the chart. */
export function releasedValues(values: string, image: string): string {
  const document = parseDocument(values);
  document.setIn(['image', 'repository'], image);
  return document.toString({ lineWidth: 0 });
}
