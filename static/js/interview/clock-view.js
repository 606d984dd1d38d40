// The clock on the page: counts between the server's answers, asks anew when it must, and speaks only at its marks.

import { Backoff, Countdown, DriftWatch, clockText, marksPassed, takenFrom } from "./clock.js";
import { send } from "./http.js";

const TICK_MS = 250;
const SYNC_MS = 60_000;
const AT_ZERO_MS = 400; // tabs that reach zero together do not ask together

export class ClockView {
  /**
   * onState(shown, before)   state or phase have changed
   * onReached(yes)           the site answers, or does not any more
   * onSync()                 after each answer to a question for the clock
   * idleMs()                 how long nothing was typed, null if nothing was yet: an interviewer does not interrupt
   */
  constructor(room, config, { onState, onReached, onSync, idleMs }) {
    Object.assign(this, { room, config, onState, onReached, onSync, idleMs });
    this.part = (name) => room.querySelector(`[data-part=${name}]`);
    this.steps = [...room.querySelectorAll("[data-step]")];
    this.countdown = new Countdown();
    this.backoff = new Backoff();
    this.drift = new DriftWatch(Date.now(), performance.now());
    this.#timerVisible(!this.#hiddenBefore());
    this.take(config.clock, 0); // asked for with the page, at the origin of its time
    setInterval(() => this.#tick(), TICK_MS);
    setInterval(() => this.sync(), SYNC_MS);
    window.addEventListener("online", () => this.sync());
    window.addEventListener("pageshow", (event) => event.persisted && this.sync());
    document.addEventListener("visibilitychange", () => document.hidden || this.sync());
  }

  get shown() {
    return this.countdown.at(performance.now());
  }

  /** A clock that came with any reply, of a request sent at `sentAt`. */
  take(block, sentAt) {
    if (!block || !this.countdown.take(block, sentAt)) return;
    const before = this.before;
    this.before = { state: block.state, phase: block.phase };
    this.#show();
    if (!before || before.state !== block.state || before.phase !== block.phase) this.onState(this.shown, before);
  }

  /** Whether a clock from elsewhere says something new. */
  differs(block) {
    const known = this.countdown.block;
    return block.seq > known.seq || (block.seq === known.seq && (block.state !== known.state || block.phase !== known.phase));
  }

  /** Asks the server; one request at a time, and after a failure only when the wait is over. */
  async sync() {
    if (this.asking || this.over) return;
    clearTimeout(this.retry);
    this.asking = true;
    const sentAt = performance.now();
    try {
      const idle = this.idleMs();
      const { clock } = await (await send(`${this.config.base}clock${idle === null ? "" : `?idle_ms=${idle}`}`, { method: "GET" })).json();
      this.backoff.reset();
      this.onReached(true);
      this.take(clock, sentAt);
      this.onSync();
    } catch (refusal) {
      if (refusal.status === 404) this.over = true;
      this.onReached(refusal.status !== 0 && refusal.status < 500);
      this.retry = setTimeout(() => this.sync(), this.backoff.next());
    } finally {
      this.asking = false;
      this.zeroAt = undefined;
    }
  }

  /** The server has said that it is over: nobody need ask again. */
  stop() {
    this.over = true;
    clearTimeout(this.retry);
  }

  #tick() {
    if (this.drift.drifted(Date.now(), performance.now())) this.sync();
    this.#show();
    const strict = this.config.mode === "strict";
    if (this.backoff.failures === 0 && this.countdown.due(performance.now(), strict)) this.#askAtZero();
    if (this.shown.state === "closing") this.#askAtZero(1500);
  }

  #askAtZero(spread = AT_ZERO_MS) {
    this.zeroAt ??= performance.now() + 200 + Math.random() * spread;
    if (performance.now() >= this.zeroAt && this.backoff.failures === 0) this.sync();
  }

  // --- what is seen ------------------------------------------------------------------------------------------------------

  #show() {
    const shown = this.shown;
    const free = shown.remainingMs === null;
    this.part("remaining").textContent = clockText(free ? shown.elapsedMs : shown.remainingMs);
    this.part("phase-remaining").textContent = clockText(shown.phaseRemainingMs ?? shown.spentMs[shown.phase]);
    if (shown.state === "overtime") this.part("overtime-left").textContent = `${clockText(shown.changeMs)} of overtime left.`;
    const over = (shown.phaseRemainingMs ?? 0) < 0;
    this.room.classList.toggle("is-over", over);
    this.#showDebt(over, shown);
    for (const [at, step] of this.steps.entries()) this.#showStep(step, at, shown);
    this.#announceMarks(shown);
  }

  #showDebt(over, shown) {
    const from = over ? takenFrom(shown, this.config.phases.map((phase) => phase.budgetMs)).map((at) => this.config.phases[at].title) : [];
    const debt = this.part("debt");
    debt.hidden = from.length === 0 || this.hidden;
    if (from.length) debt.textContent = `taken from ${from.length === 1 ? from[0] : "the phases to come"}`;
  }

  #showStep(step, at, shown) {
    const here = at === shown.phase;
    if (here) step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
    const planned = Math.max(shown.planMs[at], 1);
    step.querySelector("[data-part=time]").textContent = `${clockText(shown.spentMs[at])} of ${clockText(shown.planMs[at])}`;
    step.querySelector("[data-part=filled]").style.inlineSize = `${Math.min(100, (100 * shown.spentMs[at]) / planned)}%`;
    step.classList.toggle("is-over", this.config.mode !== "free" && shown.spentMs[at] > planned + 1000);
    step.classList.toggle("is-visited", shown.spentMs[at] > 0);
  }

  // --- hiding it, and what is said aloud -----------------------------------------------------------------------------------

  toggleHidden() {
    this.#timerVisible(this.hidden);
    try {
      localStorage.setItem("loop45:hide-timer", this.hidden ? "1" : "0");
    } catch {
      // the choice holds for this page
    }
    this.#show();
  }

  #hiddenBefore() {
    try {
      return (localStorage.getItem("loop45:hide-timer") ?? (this.config.hideTimer ? "1" : "0")) === "1";
    } catch {
      return this.config.hideTimer;
    }
  }

  #timerVisible(visible) {
    this.hidden = !visible;
    this.room.classList.toggle("is-timer-hidden", this.hidden);
    this.part("clock").hidden = this.hidden;
    this.room.querySelector("[data-action=hide-timer]").setAttribute("aria-pressed", String(this.hidden));
  }

  /** At 20 % and 5 % of the limit; with a hidden timer only at 5 %. */
  #announceMarks(shown) {
    const before = this.lastRemaining;
    this.lastRemaining = shown.remainingMs;
    if (before === undefined || before === null || shown.remainingMs === null || !this.config.alerts || shown.state !== "running") return;
    const passed = marksPassed(before, shown.remainingMs, shown.limitMs).filter((share) => !this.hidden || share <= 0.05);
    if (passed.length) this.announce(`${clockText(shown.remainingMs)} left of the interview.`);
  }

  announce(sentence) {
    this.part("announce").textContent = sentence;
  }
}
