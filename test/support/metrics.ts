const none = () => [];

/** The input of `Metrics.mirror` when the operator has nothing to report. */
export const nothingToMirror = {
  certificateExpiry: none,
  certificateReady: none,
  rootExpiry: none,
  crlNextUpdate: none,
  crlEntries: none,
  crlEntriesLimit: none,
  rotationPhase: none,
  rotationRemaining: none,
  queueLength: none,
};
