// npm run bench: compares the operator with the ceiling, the highest rate that the API server accepts. Each measurement has
// its own control plane, with etcd, API server, contestant and this program on one machine. Quote ratios: seconds depend on
// the machine. `npm run bench -- issuing`, `memory` and `events` need no control plane.

import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { ceilingContestant } from './ceiling.ts';
import { certManagerContestant } from './cert-manager.ts';
import type { Contestant } from './contestant.ts';
import { benchEvents } from './events.ts';
import { benchHostile } from './hostile.ts';
import { benchIssuing } from './issuing.ts';
import type { Outcome } from './measure.ts';
import { benchMemory } from './memory.ts';
import { operatorContestant, otherBuild } from './operator-contestant.ts';
import { type Plane, startPlane } from './plane.ts';
import { asJson, printTables, type Result } from './report.ts';
import type { Scenario, Settings } from './scenario.ts';
import { burst } from './scenarios/burst.ts';
import { churn } from './scenarios/churn.ts';
import { besideRsa, keyKinds, keys } from './scenarios/keys.ts';
import { noisy } from './scenarios/noisy.ts';
import { podBacklog, podBurst } from './scenarios/pods.ts';
import { renewal } from './scenarios/renewal.ts';
import { restart } from './scenarios/restart.ts';
import { rotation } from './scenarios/rotation.ts';
import { flood, streams } from './scenarios/stream.ts';
import { takeSpecimens } from './specimen.ts';
import { median } from './statistics.ts';
import { measureYardstick, type Yardstick } from './yardstick.ts';

const scenarios: readonly Scenario[] = [
  burst,
  flood,
  ...streams,
  restart,
  renewal,
  rotation,
  churn,
  noisy,
  ...keys,
  besideRsa,
  podBurst,
  podBacklog,
];

const usage = `usage: npm run bench -- [--scenario NAME,...] [--count N] [--rounds N] [--no-settle] [--output FILE]
                        [--before FOLDER] [--peer NAME --peer-command COMMAND --peer-crds FOLDER]
       npm run bench -- issuing | memory | events
       npm run bench -- hostile [--count N]

  --scenario  the scenarios to run (default: all); "keys" runs every kind of key:
${scenarios.map(({ name, about }) => `                ${name.padEnd(16)} ${about}`).join('\n')}
  --count     pairs of a client and a server certificate in each scenario (default 1000)
  --rounds    rounds of each scenario, in alternation with the ceiling (default 3)
  --no-settle skips the measurements of settled memory and of an idle process in the last round
  --output    the JSON file with the results (default bench.json)
  --before    also runs another build of the operator: the folder dist of another checkout, after npm run build
  --peer      also runs another controller for cert-manager's Certificates, in the scenarios that it supports
`;

const { values, positionals } = parseArgs({
  options: {
    scenario: { type: 'string' },
    count: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '3' },
    output: { type: 'string', default: 'bench.json' },
    before: { type: 'string' },
    settle: { type: 'boolean', default: true },
    peer: { type: 'string' },
    'peer-command': { type: 'string' },
    'peer-crds': { type: 'string' },
    help: { type: 'boolean' },
  },
  allowPositionals: true,
  allowNegative: true,
});

async function benchAll(): Promise<void> {
  const chosen = scenarios.filter(({ name }) => isChosen(name));
  if (chosen.length === 0) throw new Error(`unknown scenario "${values.scenario}"\n\n${usage}`);
  const [count, rounds] = [Number(values.count), Number(values.rounds)];
  const [before, specimens] = await onPlane(
    async (plane) => [await measureYardstick(plane), await takeSpecimens(plane, keyKinds)] as const,
  );
  const ceiling = ceilingContestant(specimens);
  const results: Result[] = [];
  let ceilingPairsPerSecond = Number.NaN;
  for (const scenario of chosen) {
    if (streams.includes(scenario) && Number.isNaN(ceilingPairsPerSecond)) {
      const settings = { count, settles: false, ceilingPairsPerSecond };
      ceilingPairsPerSecond = pairsPerSecond([await measure(flood, ceiling, settings)]);
    }
    const settings = { count, settles: false, ceilingPairsPerSecond };
    const outcomes = await alternate(scenario, contestantsOf(scenario, ceiling), rounds, settings);
    const reference = outcomes.get(ceiling);
    if (scenario === flood && reference !== undefined) ceilingPairsPerSecond = pairsPerSecond(reference);
    for (const [contestant, rounds] of outcomes) {
      results.push({ scenario: scenario.name, contestant: contestant.name, rounds, ratios: ratios(rounds, reference) });
    }
    printTables(results.filter((result) => result.scenario === scenario.name));
  }
  if (chosen.length > 1) printTables(results);
  const yardsticks = { before, after: await onPlane(measureYardstick) };
  printYardsticks(yardsticks);
  const machine = { cpus: cpus().length, model: cpus()[0]?.model, memoryBytes: totalmem(), node: process.version };
  writeFileSync(
    values.output,
    `${JSON.stringify({ date: new Date(), machine, yardsticks, count, results: asJson(results) }, null, 2)}\n`,
  );
  console.log(`The results are in ${values.output}.`);
}

const isChosen = (name: string): boolean =>
  values.scenario === undefined ||
  values.scenario.split(',').some((chosen) => name === chosen || name.startsWith(`${chosen}/`));

function contestantsOf({ takesPart = { ceiling: true, peer: true } }: Scenario, ceiling: Contestant): Contestant[] {
  const { peer: name, 'peer-command': command, 'peer-crds': crds } = values;
  if (name !== undefined && (command === undefined || crds === undefined)) {
    throw new Error(`--peer needs --peer-command and --peer-crds\n\n${usage}`);
  }
  return [
    ...(takesPart.ceiling ? [ceiling] : []),
    operatorContestant,
    ...(values.before === undefined ? [] : [otherBuild(values.before)]),
    ...(takesPart.peer && name !== undefined && command !== undefined && crds !== undefined
      ? [certManagerContestant({ name, command, crds })]
      : []),
  ];
}

/** Runs all contestants in each round, with the order reversed in every second round. The last round also waits for settled memory. */
async function alternate(
  scenario: Scenario,
  contestants: readonly Contestant[],
  rounds: number,
  settings: Settings,
): Promise<Map<Contestant, Outcome[]>> {
  const outcomes = new Map(contestants.map((contestant): [Contestant, Outcome[]] => [contestant, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const contestant of round % 2 === 0 ? contestants : contestants.toReversed()) {
      console.log(`${scenario.name}, round ${round + 1} of ${rounds}: ${contestant.name}`);
      const settles = values.settle && round === rounds - 1;
      outcomes.get(contestant)?.push(await measure(scenario, contestant, { ...settings, settles }));
    }
  }
  return outcomes;
}

const measure = (scenario: Scenario, contestant: Contestant, settings: Settings): Promise<Outcome> =>
  onPlane(async (plane) => {
    await contestant.prepare(plane);
    return scenario.run(plane, contestant, settings);
  });

/** Runs `work` on a new control plane. */
async function onPlane<T>(work: (plane: Plane) => Promise<T>): Promise<T> {
  const plane = await startPlane();
  try {
    return await work(plane);
  } finally {
    await plane.stop();
  }
}

/** Prints the speed of the machine, to compare results from different machines and hours. */
function printYardsticks(yardsticks: Readonly<Record<string, Yardstick>>): void {
  const rows = Object.entries(yardsticks).map(([when, { secretsPerSecond, clientCpuMs, apiServerCpuMs }]) => ({
    when,
    'Secrets/s': secretsPerSecond.toFixed(0),
    'client CPU, ms each': clientCpuMs.toFixed(2),
    'API server CPU, ms each': apiServerCpuMs.toFixed(2),
  }));
  console.log('Speed of this machine: creating Secrets of 3.5 KB');
  console.table(rows);
}

const pairsPerSecond = (rounds: readonly Outcome[]): number =>
  median(rounds.map(({ certificatesPerSecond = Number.NaN }) => certificatesPerSecond)) / 2;

/** The rate divided by the ceiling's rate, for each round. */
const ratios = (rounds: readonly Outcome[], reference: readonly Outcome[] | undefined): number[] =>
  rounds.flatMap(({ certificatesPerSecond }, round) => {
    const ceiling = reference?.[round]?.certificatesPerSecond;
    return certificatesPerSecond === undefined || ceiling === undefined ? [] : [certificatesPerSecond / ceiling];
  });

const alone: Readonly<Record<string, () => unknown>> = {
  issuing: benchIssuing,
  memory: benchMemory,
  events: benchEvents,
  hostile: () => benchHostile(isCounted ? Number(values.count) : undefined),
};
const isCounted = process.argv.some((argument) => argument.startsWith('--count'));
const [word, ...surplus] = positionals;
const bench = word === undefined ? benchAll : alone[word];
if (values.help === true || bench === undefined || surplus.length > 0) process.stdout.write(usage);
else await bench();
