/** The parts of Grafana's classic dashboard model that the dashboard uses. Grafana 11.6 and later read this schema version. */
const schemaVersion = 41;

/** The width of a dashboard. */
export const columns = 24;

const datasource = { type: 'prometheus', uid: '$datasource' } as const;

export interface Query {
  /** PromQL, with the variables of the dashboard. */
  readonly expr: string;
  /** Grafana's template for the name of a series, such as `{{authority}}`. */
  readonly legend?: string;
}

/** A panel without its place. */
export interface Panel {
  readonly title: string;
  /** What the panel shows, and when to worry. */
  readonly description: string;
  readonly queries: readonly Query[];
  /** The unit of the values, by Grafana's name. */
  readonly unit: string;
  readonly type: string;
  readonly options: object;
  readonly fields?: object;
  readonly overrides?: readonly object[];
  readonly transformations?: readonly object[];
  /** True for the current value only. */
  readonly isInstant?: boolean;
}

type Text = Pick<Panel, 'title' | 'description'>;

export interface Colour {
  readonly from: number | null;
  readonly color: 'green' | 'orange' | 'red' | 'blue';
}

const thresholds = (steps: readonly Colour[]) => ({
  color: { mode: 'thresholds' },
  thresholds: { mode: 'absolute', steps: steps.map(({ from, color }) => ({ value: from, color })) },
});

/** Red from `limit` on. */
export const redFrom = (limit: number): readonly Colour[] => [
  { from: null, color: 'green' },
  { from: limit, color: 'red' },
];

/** One big number. */
export const stat = (text: Text, expr: string, steps: readonly Colour[], unit = 'none'): Panel => ({
  ...text,
  unit,
  queries: [{ expr }],
  type: 'stat',
  isInstant: true,
  options: { colorMode: 'background', graphMode: 'none', reduceOptions: { calcs: ['lastNotNull'] } },
  fields: thresholds(steps),
});

/** Lines over time. Stacked areas if the sum of the series means something. */
export const timeSeries = (text: Text, unit: string, queries: readonly Query[], isStacked = false): Panel => ({
  ...text,
  unit,
  queries,
  type: 'timeseries',
  options: {
    legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
    tooltip: { mode: 'multi', sort: 'desc' },
  },
  fields: {
    min: 0,
    custom: {
      fillOpacity: isStacked ? 40 : 10,
      showPoints: 'never',
      stacking: { mode: isStacked ? 'normal' : 'none', group: 'A' },
    },
  },
});

/** One bar for each series. */
export const bars = (text: Text, unit: string, query: Query, steps: readonly Colour[]): Panel => ({
  ...text,
  unit,
  queries: [query],
  type: 'bargauge',
  isInstant: true,
  options: { displayMode: 'basic', orientation: 'horizontal', reduceOptions: { calcs: ['lastNotNull'] } },
  fields: { min: 0, ...thresholds(steps) },
});

/** A bar for each series whose colour shows its state over time. `states` names the values. */
export const timeline = (
  text: Text,
  query: Query,
  states: Readonly<Record<string, readonly [string, string]>>,
): Panel => ({
  ...text,
  unit: 'none',
  queries: [query],
  type: 'state-timeline',
  options: {
    mergeValues: true,
    rowHeight: 0.8,
    showValue: 'never',
    legend: { showLegend: true, displayMode: 'list', placement: 'bottom' },
  },
  fields: {
    mappings: [
      {
        type: 'value',
        options: Object.fromEntries(
          Object.entries(states).map(([value, [name, color]], index) => [value, { text: name, color, index }]),
        ),
      },
    ],
  },
});

/** A row for each series. `names` are the headings of the labels, in their order; the label '' is the value. */
export const table = (text: Text, unit: string, expr: string, names: Readonly<Record<string, string>>): Panel => {
  const named = Object.entries(names).map(([label, name]) => [label === '' ? 'Value' : label, name] as const);
  return {
    ...text,
    unit: 'none',
    queries: [{ expr }],
    type: 'table',
    isInstant: true,
    options: { cellHeight: 'sm', showHeader: true },
    overrides:
      '' in names ? [{ matcher: { id: 'byName', options: names[''] }, properties: [{ id: 'unit', value: unit }] }] : [],
    transformations: [
      {
        id: 'organize',
        options: {
          excludeByName: { Time: true, ...('' in names ? {} : { Value: true }) },
          indexByName: Object.fromEntries(named.map(([label], index) => [label, index])),
          renameByName: Object.fromEntries(named),
        },
      },
    ],
  };
};

/** Panels of one height next to each other, with their widths. */
export interface Line {
  readonly height: number;
  readonly panels: readonly (readonly [width: number, panel: Panel])[];
}

/** A heading with the lines of panels below it. */
export interface Row {
  readonly title: string;
  readonly lines: readonly Line[];
}

export interface Variable {
  readonly name: string;
  readonly label: string;
  /** A query such as label_values(METRIC, LABEL). */
  readonly query: string;
  /** Whether several values, or all of them, can be chosen. */
  readonly isMulti: boolean;
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly variables: readonly Variable[];
  readonly rows: readonly Row[];
}

/** The JSON of a dashboard. Places the rows below each other. Throws if a line is not as wide as the dashboard. */
export function dashboardJson({ uid, title, description, variables, rows }: Dashboard): string {
  const panels: object[] = [];
  let y = 0;
  const add = (panel: object): void => {
    panels.push({ id: panels.length + 1, ...panel });
  };
  for (const row of rows) {
    add({ type: 'row', title: row.title, collapsed: false, gridPos: { x: 0, y, w: columns, h: 1 }, panels: [] });
    y += 1;
    for (const { height, panels: line } of row.lines) {
      let x = 0;
      for (const [width, panel] of line) {
        add(placed(panel, { x, y, w: width, h: height }));
        x += width;
      }
      if (x !== columns) throw new Error(`${row.title}: a line is ${x} columns wide`);
      y += height;
    }
  }
  const json = {
    uid,
    title,
    description,
    tags: ['mtls', 'certificates'],
    schemaVersion,
    editable: true,
    graphTooltip: 1,
    refresh: '1m',
    time: { from: 'now-6h', to: 'now' },
    timezone: 'browser',
    templating: { list: [datasourceVariable, ...variables.map(variableJson)] },
    panels,
  };
  return `${JSON.stringify(json, undefined, 2)}\n`;
}

const datasourceVariable = {
  name: 'datasource',
  label: 'Data source',
  type: 'datasource',
  query: 'prometheus',
  current: {},
  hide: 0,
  refresh: 1,
};

const variableJson = ({ name, label, query, isMulti }: Variable) => ({
  name,
  label,
  type: 'query',
  datasource,
  definition: query,
  query: { qryType: 1, query, refId: `variable-${name}` },
  // When the time range changes.
  refresh: 2,
  sort: 1,
  hide: 0,
  multi: isMulti,
  includeAll: isMulti,
  ...(isMulti ? { allValue: '.*', current: { text: ['All'], value: ['$__all'] } } : { current: {} }),
});

const placed = (panel: Panel, gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>) => ({
  type: panel.type,
  title: panel.title,
  description: panel.description,
  datasource,
  gridPos,
  targets: panel.queries.map(({ expr, legend }, index) => ({
    refId: String.fromCharCode('A'.charCodeAt(0) + index),
    datasource,
    expr,
    editorMode: 'code',
    instant: panel.isInstant === true,
    range: panel.isInstant !== true,
    ...(panel.type === 'table' ? { format: 'table' } : {}),
    ...(legend === undefined ? {} : { legendFormat: legend }),
  })),
  fieldConfig: { defaults: { unit: panel.unit, ...panel.fields }, overrides: panel.overrides ?? [] },
  options: panel.options,
  ...(panel.transformations === undefined ? {} : { transformations: panel.transformations }),
});
