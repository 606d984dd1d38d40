// The practice clock: the server keeps it, this module counts on from its last answer and asks again now and then.

import { post } from "./post.js";

const MARK_S = 60;
const SYNC_MS = 60_000;

const text = (seconds) => {
  const whole = Math.round(Math.abs(seconds));
  return `${seconds < 0 && whole ? "\u2212" : ""}${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
};

class PracticeClock {
  presses = 0; // buttons pressed and answered

  constructor(form) {
    this.form = form;
    this.part = (name) => form.querySelector(`[data-part=${name}]`);
    const { running, phase, untouched, hidden, phaseRemainingS, remainingS, planLeftS, takenFrom } = form.dataset;
    const numbers = { phase_remaining_s: Number(phaseRemainingS), remaining_s: Number(remainingS), plan_left_s: Number(planLeftS) };
    const flags = { running: running === "1", untouched: untouched === "1", hidden: hidden === "1" };
    this.#take({ ...flags, ...numbers, phase, taken_from: takenFrom ? takenFrom.split(" ") : [] }, performance.now());
    form.addEventListener("submit", (event) => this.#press(event));
    setInterval(() => this.#show(), 250);
    setInterval(() => this.state.running && this.sync(), SYNC_MS);
    for (const name of ["pageshow", "online"]) window.addEventListener(name, (event) => (event.persisted ?? true) && this.sync());
    document.addEventListener("visibilitychange", () => document.hidden || this.sync());
  }

  /** Counting starts when the request was sent, so that the clock never shows more time than there is. */
  #take(state, sentAt) {
    const jumped = !this.state || this.state.phase !== state.phase;
    Object.assign(this, { state, sentAt });
    if (jumped) this.lastRemaining = this.#phaseRemaining;
    this.#show();
  }

  get #elapsed() {
    return this.state.running ? (performance.now() - this.sentAt) / 1000 : 0;
  }

  get #phaseRemaining() {
    return this.state.phase_remaining_s - this.#elapsed;
  }

  async sync() {
    const sentAt = performance.now();
    const { presses } = this;
    try {
      const response = await fetch(`${this.form.dataset.url}?phase=${this.form.dataset.pagePhase}`, { headers: { Accept: "application/json" } });
      const state = response.ok ? await response.json() : null;
      if (state && presses === this.presses) this.#take(state, sentAt); // else it may be of before a button was pressed
    } catch {
      // offline: the count goes on from the last answer
    }
  }

  async #press(event) {
    event.preventDefault();
    const sentAt = performance.now();
    const fields = { action: event.submitter.value, phase: this.form.elements.phase.value };
    this.presses += 1;
    try {
      const response = await post(this.form.getAttribute("action"), fields); // form.action is the buttons called "action"
      if (!response.ok) throw new Error(`status ${response.status}`);
      this.#take(await response.json(), sentAt);
    } catch {
      this.#announce("The clock could not be reached. Try again when you are online.");
      this.part("failed").hidden = false;
      return;
    } finally {
      this.presses += 1;
    }
    this.part("failed").hidden = true;
  }

  #show() {
    const { running, phase, untouched, hidden, remaining_s: total, plan_left_s: planLeft } = this.state;
    const remaining = this.#phaseRemaining;
    const elapsed = this.#elapsed;
    this.form.classList.toggle("is-running", running);
    this.form.classList.toggle("is-over", remaining < 0);
    this.part("phase-remaining").textContent = text(remaining);
    this.part("remaining").textContent = text(total - elapsed);
    this.part("phase-title").textContent = this.#title(phase);
    this.#showDebt(elapsed - planLeft);
    this.#buttons(running, untouched, hidden, phase);
    if (running) this.#announceMarks(remaining);
  }

  #showDebt(owed) {
    const from = this.state.taken_from.map((phase) => this.#title(phase)).join(" and ");
    this.part("debt").hidden = owed < 1;
    this.part("debt-time").textContent = text(owed);
    this.part("taken-from").textContent = from && `, taken from ${from}`;
  }

  #buttons(running, untouched, hidden, phase) {
    const toggle = this.part("toggle");
    toggle.value = running ? "pause" : "start";
    toggle.ariaLabel = running ? "Pause the clock" : "Start the clock";
    this.part("reset").disabled = untouched;
    this.part("face").hidden = hidden;
    this.part("hide").value = hidden ? "show" : "hide";
    this.part("hide").ariaPressed = String(hidden);
    const page = this.form.dataset.pagePhase;
    this.part("move").hidden = !running || !page || page === phase;
    if (page && !running) this.form.elements.phase.value = page;
  }

  #title(phase) {
    return document.querySelector(`.rail-phase[data-phase="${phase}"] .rail-name`).textContent;
  }

  #announceMarks(remaining) {
    const before = this.lastRemaining;
    this.lastRemaining = remaining;
    if (before > MARK_S && remaining <= MARK_S) this.#announce(`One minute left for ${this.#title(this.state.phase)}.`);
    if (before <= 0 || remaining > 0) return;
    this.#announce(`The time for ${this.#title(this.state.phase)} is over.`);
    this.sync(); // which phases pay for what comes now
  }

  #announce(sentence) {
    this.part("announce").textContent = sentence;
  }
}

new PracticeClock(document.querySelector("[data-clock]"));

document.querySelector(".rail-phase[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }); // phones show the phases in one row
