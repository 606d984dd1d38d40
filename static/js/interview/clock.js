// The clock of an interview as the page counts it. Pure: time and chance come in, nothing here reads a clock or the page.
//
// The server is the clock. A reply says how much is left at the moment it was made; counting starts when the request was SENT, so
// that the display never shows more than the truth and at most one round trip less.

const RUNNING = new Set(["running", "overtime"]);
const LOW_MARKS = [0.2, 0.05]; // of the limit: 9:00 and 2:15 of 45 minutes

/** Milliseconds as "4:05", "−1:40"; cut, not rounded, so that it never says more than there is. */
export function clockText(ms) {
  const over = ms < 0;
  const whole = over ? Math.ceil(-ms / 1000) : Math.floor(ms / 1000);
  const minutes = Math.floor(whole / 60);
  return `${over && whole ? "\u2212" : ""}${minutes}:${String(whole % 60).padStart(2, "0")}`;
}

/** The newest clock block and what it comes to at a moment of `performance.now()`. */
export class Countdown {
  block = null;
  sentAt = 0;

  /** Takes a reply whose request was sent at `sentAt`; false for one that is older than what is known. */
  take(block, sentAt) {
    if (this.block && (block.seq < this.block.seq || (block.seq === this.block.seq && sentAt < this.sentAt))) return false;
    this.block = block;
    this.sentAt = sentAt;
    return true;
  }

  #elapsed(now) {
    return RUNNING.has(this.block.state) ? Math.max(0, now - this.sentAt) : 0;
  }

  /** The seconds in which last packets arrive are nobody's time: no phase is seen to have used them. */
  #afterTheEnd() {
    const { state, spent_ms: spent, limit_ms: limit } = this.block;
    return state === "closing" && limit !== null ? Math.max(0, spent.reduce((sum, ms) => sum + ms, 0) - limit) : 0;
  }

  /** What to show at `now`; null before the first reply. `remainingMs` and `phaseRemainingMs` are null where nothing is due. */
  at(now) {
    if (!this.block) return null;
    const { block } = this;
    const elapsed = this.#elapsed(now);
    const counted = elapsed - this.#afterTheEnd();
    const phaseMs = block.phase_remaining_ms === null ? null : block.phase_remaining_ms - counted;
    const spentMs = block.spent_ms.map((ms, phase) => (phase === block.phase ? ms + counted : ms));
    return {
      state: block.state,
      phase: block.phase,
      limitMs: block.limit_ms,
      remainingMs: block.remaining_ms === null ? null : Math.max(0, block.remaining_ms - elapsed),
      phaseRemainingMs: block.state === "closing" && phaseMs > 0 ? 0 : phaseMs,
      changeMs: typeof block.change_ms === "number" ? Math.max(0, block.change_ms - elapsed) : null, // until it changes by itself
      elapsedMs: spentMs.reduce((sum, ms) => sum + ms, 0),
      spentMs,
      planMs: block.plan_ms,
      debtMs: block.debt_ms,
      writable: block.writable,
    };
  }

  /** Whether the count has come to an end that only the server can declare: of the round, of the overtime, in strict mode of the phase. */
  due(now, strict) {
    const shown = this.at(now);
    if (shown?.state === "overtime") return shown.changeMs === 0;
    if (!shown || shown.state !== "running") return false;
    return shown.remainingMs === 0 || (strict && shown.phaseRemainingMs !== null && shown.phaseRemainingMs <= 0);
  }
}

/** Shares of the limit that were passed going from `beforeMs` to `afterMs` left. */
export function marksPassed(beforeMs, afterMs, limitMs) {
  return LOW_MARKS.filter((share) => beforeMs > share * limitMs && afterMs <= share * limitMs);
}

/** Phases not begun whose plan has shrunk: those an overrun takes its time from. `budgetsMs` is the plan at the start. */
export function takenFrom(shown, budgetsMs) {
  return budgetsMs.flatMap((budget, phase) => (phase !== shown.phase && shown.spentMs[phase] === 0 && shown.planMs[phase] < budget - 1000 ? [phase] : []));
}

/** Waits between failures: 1, 2, 4, 8, 15 s, each 30 % more or less, so that tabs that failed together do not return together. */
export class Backoff {
  static STEPS_MS = [1000, 2000, 4000, 8000, 15_000];
  failures = 0;

  constructor(random = Math.random) {
    this.random = random;
  }

  next() {
    const step = Backoff.STEPS_MS[Math.min(this.failures, Backoff.STEPS_MS.length - 1)];
    this.failures += 1;
    return step * (0.7 + 0.6 * this.random());
  }

  reset() {
    this.failures = 0;
  }
}

const DRIFT_MS = 2000;

/** Notices that the device slept or its clock was set: wall time and steady time then go apart. */
export class DriftWatch {
  constructor(wallMs, steadyMs) {
    this.offset = wallMs - steadyMs;
  }

  drifted(wallMs, steadyMs) {
    const offset = wallMs - steadyMs;
    const apart = Math.abs(offset - this.offset) > DRIFT_MS;
    if (apart) this.offset = offset;
    return apart;
  }
}
