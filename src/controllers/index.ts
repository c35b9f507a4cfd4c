export { controllerNames } from './leader-term.ts';
export { metricSources } from './metric-sources.ts';
export { Operator } from './operator.ts';
