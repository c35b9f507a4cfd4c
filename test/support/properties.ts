import { configureGlobal } from 'fast-check';

configureGlobal({ seed: Number(process.env['FUZZ_SEED'] ?? 20_261_130) });

/** fast-check with the same inputs in every run, unless FUZZ_SEED sets another seed. */
export * from 'fast-check';
