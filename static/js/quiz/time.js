// Time on the question, or time left of a timed quiz. Both can be hidden; the choice holds for this device.

const HIDDEN = "quiz:time-hidden";
const GRACE_MS = 31_000; // what is on its way when the time is up still counts
const words = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

function stored() {
  try {
    return localStorage.getItem(HIDDEN) === "1";
  } catch {
    return false;
  }
}

export class QuestionClock {
  constructor(place) {
    this.place = place;
    this.hidden = stored();
    setInterval(() => this.#show(), 500);
    place.addEventListener("click", (event) => event.target.closest("[data-time]") && this.#toggle());
  }

  /** A question has come. */
  start() {
    this.startedAt = performance.now();
    this.before = null;
    const left = this.place.querySelector("[data-left]");
    this.endsAt = left ? performance.now() + Number(left.dataset.left) * 1000 : null;
    this.running = Boolean(this.place.querySelector("[data-question]"));
    this.#show();
  }

  /** Adds the milliseconds since then to a field of the form, which holds those of a try that could not be read. */
  write(field) {
    this.before ??= Number(field.value);
    field.value = String(Math.round(this.before + performance.now() - this.startedAt));
  }

  #toggle() {
    this.hidden = !this.hidden;
    try {
      localStorage.setItem(HIDDEN, this.hidden ? "1" : "0");
    } catch {
      // storage is forbidden: the choice holds for this page
    }
    this.#show();
  }

  #show() {
    const button = this.place.querySelector("[data-time]");
    button?.setAttribute("aria-pressed", String(this.hidden));
    const left = this.place.querySelector("[data-left]");
    if (left) {
      left.hidden = this.hidden;
      const seconds = Math.max(0, (this.endsAt - performance.now()) / 1000);
      left.textContent = seconds ? words(seconds) : "Time is up: send what you have";
      if (seconds === 0) this.closing ??= setTimeout(() => location.reload(), GRACE_MS);
      return;
    }
    const elapsed = this.place.querySelector("[data-elapsed]");
    if (!elapsed) return;
    elapsed.hidden = this.hidden;
    if (this.running) elapsed.textContent = words((performance.now() - this.startedAt) / 1000);
  }
}
