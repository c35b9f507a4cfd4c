import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { eventually } from '../eventually.ts';
import { startProgram } from '../peers/process.ts';
import { scratchFolder } from '../scratch.ts';

/** A series and its current value. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ActiveAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
  readonly activeAt: string;
}

/** A running Prometheus. */
export interface Prometheus {
  /** The current result of an instant query. Throws with Prometheus's message for a wrong query. */
  query(expr: string): Promise<readonly Sample[]>;
  /** The values of a label among the series of a selector. */
  labelValues(label: string, selector: string): Promise<readonly string[]>;
  alerts(): Promise<readonly ActiveAlert[]>;
  /** The name and the health of every rule. */
  rules(): Promise<readonly { readonly name: string; readonly health: string; readonly lastError?: string }[]>;
  stop(): Promise<void>;
}

/** Starts Prometheus with these scrape jobs and rules. It scrapes and evaluates every second. */
export async function startPrometheus(scrapeJobs: readonly object[], rules: object): Promise<Prometheus> {
  const folder = await scratchFolder('prometheus');
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [join(folder, 'rules.json')],
    scrape_configs: scrapeJobs,
  };
  await writeFile(join(folder, 'rules.json'), JSON.stringify(rules));
  await writeFile(join(folder, 'prometheus.json'), JSON.stringify(config));
  const program = await startProgram(
    [
      'prometheus',
      `--config.file=${join(folder, 'prometheus.json')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      '--web.listen-address=127.0.0.1:0',
    ],
    /msg="Listening on" address=(\S+)/,
  );
  const url = `http://${program.announcement[1]}`;

  async function get<T>(path: string, query: Readonly<Record<string, string>> = {}): Promise<T> {
    const response = await fetch(`${url}/api/v1/${path}?${new URLSearchParams(query).toString()}`);
    const answer = (await response.json()) as { readonly data: T; readonly error?: string };
    assert.ok(response.ok, `${path} ${JSON.stringify(query)}: ${answer.error}`);
    return answer.data;
  }

  await eventually(async () => assert.ok((await fetch(`${url}/-/ready`)).ok), { message: program.log() });
  return {
    async query(expr) {
      const { result } = await get<{ result: { metric: Sample['metric']; value: [number, string] }[] }>('query', {
        query: expr,
      });
      return result.map(({ metric, value: [, text] }) => ({ metric, value: Number(text) }));
    },
    labelValues: (label, selector) => get(`label/${label}/values`, { 'match[]': selector }),
    alerts: async () => (await get<{ alerts: ActiveAlert[] }>('alerts')).alerts,
    rules: async () =>
      (
        await get<{ groups: { rules: { name: string; health: string; lastError?: string }[] }[] }>('rules')
      ).groups.flatMap((group) => group.rules),
    stop: program.stop,
  };
}
