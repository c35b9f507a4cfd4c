/** A Go package of a build. */
export interface BuildPackage {
  readonly path: string;
  /** The size of its sources. */
  readonly bytes: number;
  /** Whether Go's build cache has the compiled package. */
  readonly isCached: boolean;
}

/** The state of a build, for an estimate of the rest. */
export interface BuildProgress {
  /** The CPU time that the whole build needs on the reference machine, in seconds, from `buildCost`. */
  readonly totalCost: number;
  /** The cost at earlier moments of this build, in the order of time. The first moment is the start: { atMs: 0, cost: 0 }. */
  readonly samples: readonly BuildSample[];
  readonly cores: number;
}

/** The part of the cost that a build has done at a moment. */
export interface BuildSample {
  readonly atMs: number;
  readonly cost: number;
}

/**
 * CPU seconds on the reference machine. Compiling a package costs a start of the compiler and a time in proportion to its
 * sources. Linking costs a time in proportion to all sources. The constants fit two recorded builds, which the tests have.
 */
const COMPILER_START_S = 0.05;
const COMPILE_S_PER_MIB = 2.4;
const LINK_S_PER_MIB = 0.25;

/** How many times slower than the reference machine a core is, on a new machine and on an old or virtual one. */
const FASTEST = 0.8;
const SLOWEST = 3;

/** How long the first guess counts as much as the measured speed. After that it counts less and less. */
const FIRST_GUESS_MS = 15_000;

const MIB = 1024 * 1024;

/** The CPU time for a package, in seconds on the reference machine. Zero when the cache has it. */
export const packageCost = ({ bytes, isCached }: BuildPackage): number =>
  isCached ? 0 : COMPILER_START_S + (bytes / MIB) * COMPILE_S_PER_MIB;

/** The CPU time for the last step, in seconds on the reference machine. The cache never has it. */
export const linkCost = (packages: readonly BuildPackage[]): number =>
  (packages.reduce((sum, { bytes }) => sum + bytes, 0) / MIB) * LINK_S_PER_MIB;

/** The CPU time for the whole build, in seconds on the reference machine. */
export const buildCost = (packages: readonly BuildPackage[]): number =>
  packages.reduce((sum, each) => sum + packageCost(each), linkCost(packages));

/** How long a build takes, said before it starts: a range in seconds, because the speed of the machine is not known. */
export function firstEstimate(totalCost: number, cores: number): { readonly least: number; readonly most: number } {
  const seconds = totalCost / usedCores(cores);
  return { least: seconds * FASTEST, most: seconds * SLOWEST };
}

/**
 * How long the rest of the build takes, in milliseconds. The speed is that of the last half of the build so far: a machine
 * that has become slower or faster changes the estimate. At the start, the first guess counts most.
 */
export function remainingMs({ totalCost, samples, cores }: BuildProgress): number {
  const last = samples.at(-1) ?? { atMs: 0, cost: 0 };
  const middle = samples.findLast(({ atMs }) => atMs <= last.atMs / 2) ?? { atMs: 0, cost: 0 };
  const guessedMs = FIRST_GUESS_MS ** 2 / (FIRST_GUESS_MS + last.atMs);
  const guessedCost = (usedCores(cores) * guessedMs) / 1000;
  const costPerMs = (last.cost - middle.cost + guessedCost) / (last.atMs - middle.atMs + guessedMs);
  return Math.max(0, totalCost - last.cost) / costPerMs;
}

/** Packages depend on each other, so many cores wait for each other. */
const usedCores = (cores: number): number => Math.max(1, cores) ** 0.85;

/** A duration for a person: "about 20 seconds", "about 4 minutes". */
export function inWords(ms: number): string {
  if (ms < 90_000) return `about ${Math.max(10, Math.round(ms / 10_000) * 10)} seconds`;
  return `about ${Math.round(ms / 60_000)} minutes`;
}

/** A range for a person: "less than a minute", "4 to 11 minutes". */
export function rangeInWords({ least, most }: { readonly least: number; readonly most: number }): string {
  if (most <= 60) return 'less than a minute';
  const [from, to] = [Math.floor(least / 60), Math.ceil(most / 60)];
  return from < 1 ? `up to ${to} minutes` : `${from} to ${to} minutes`;
}

/** Follows a build and says how long it takes. It has no clock: each time is the milliseconds since the start of the build. */
export class BuildForecast {
  readonly #packages: ReadonlyMap<string, BuildPackage>;
  readonly #totalCost: number;
  readonly #cores: number;
  readonly #samples: BuildSample[] = [{ atMs: 0, cost: 0 }];
  /** The costs of the packages that the compilers have begun, in this order. */
  readonly #begun = new Map<string, number>();
  readonly #toCompile: number;

  constructor(packages: readonly BuildPackage[], cores: number) {
    this.#packages = new Map(packages.map((each) => [each.path, each]));
    this.#totalCost = buildCost(packages);
    this.#cores = cores;
    this.#toCompile = packages.filter(({ isCached }) => !isCached).length;
  }

  /** How long the build takes, for the line before it starts. */
  announcement(): string {
    const [all, duration] = [this.#packages.size, rangeInWords(firstEstimate(this.#totalCost, this.#cores))];
    return `${this.#toCompile} of ${all} packages are to compile, which takes ${duration} on ${this.#cores === 1 ? 'one idle core' : `${this.#cores} idle cores`}.`;
  }

  /** A compiler begins with a package. A line that is not the path of a package of this build has no effect. */
  begins(path: string, atMs: number): void {
    const each = this.#packages.get(path);
    if (each === undefined || this.#begun.has(path)) return;
    this.#begun.set(path, packageCost(each));
    this.#samples.push({ atMs, cost: this.#doneCost() });
  }

  /** The remaining time in milliseconds. */
  remainingMs(atMs: number): number {
    const estimate = (samples: readonly BuildSample[]): number =>
      remainingMs({ totalCost: this.#totalCost, samples, cores: this.#cores });
    const last = this.#samples.at(-1) ?? { atMs: 0, cost: 0 };
    // While the compilers work on the same packages, the build gets slower on average.
    if (!this.#isLinking()) return estimate([...this.#samples, { atMs, cost: last.cost }]);
    // Nothing reports the progress of the linker.
    const whole = estimate(this.#samples);
    return Math.max(whole - (atMs - last.atMs), whole / 10);
  }

  /** What the build is doing, and the remaining time. */
  report(atMs: number): string {
    const left = `${inWords(this.remainingMs(atMs))} left`;
    if (this.#isLinking()) return `linking, ${left}`;
    return `compiling, ${Math.floor((this.#doneCost() / this.#totalCost) * 100)} %, ${left}`;
  }

  /** The last package is the program. The linker follows within a second. */
  #isLinking(): boolean {
    return this.#begun.size >= this.#toCompile;
  }

  /** Half of each package that is being compiled counts as done: one for each core. */
  #doneCost(): number {
    const costs = [...this.#begun.values()];
    const inWork = costs.slice(-this.#cores);
    return sum(costs) - sum(inWork) / 2;
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
