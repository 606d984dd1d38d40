// The lobby: the plan as bars whose sum stands still, and the check of the connection.

import { csrfToken } from "../csrf.js";
import { clockText } from "./clock.js";
import { moved } from "./plan.js";

const TRIES = 3;
const STREAM_PATIENCE_MS = 6000;

class Plan {
  constructor(root) {
    this.root = root;
    this.bars = [...root.querySelectorAll(".plan-bar")];
    this.words = root.querySelector("[data-part=plan-words]");
    this.first = this.#budgets;
    for (const control of root.querySelectorAll("[data-bar], [data-step], [data-reset-plan]")) control.hidden = false;
    root.classList.add("is-live");
    root.addEventListener("input", (event) => this.#typed(event.target));
    root.addEventListener("click", (event) => this.#pressed(event.target.closest("button")));
    this.#show(this.first);
  }

  get #budgets() {
    return this.bars.map((bar) => Number(boxOf(bar).value));
  }

  #typed(input) {
    const at = this.bars.findIndex((bar) => bar.contains(input));
    if (at >= 0 && input.matches("[data-bar]")) this.#set(at, input.valueAsNumber);
  }

  #pressed(button) {
    if (!button) return;
    const at = this.bars.findIndex((bar) => bar.contains(button));
    if (button.dataset.step) this.#set(at, this.#budgets[at] + Number(button.dataset.step));
    if ("resetPlan" in button.dataset) this.#show(this.first);
  }

  #set(at, seconds) {
    const budgets = moved(this.#budgets, at, seconds);
    this.#show(budgets);
    const name = this.bars[at].querySelector(".plan-bar-title").textContent;
    this.words.textContent = `${name} ${clockText(budgets[at] * 1000)}; the others pay for it.`;
  }

  #show(budgets) {
    const longest = Math.max(...budgets);
    for (const [at, bar] of this.bars.entries()) {
      const slider = bar.querySelector("[data-bar]");
      boxOf(bar).value = budgets[at];
      slider.max = Math.max(1800, longest); // one scale for all bars
      slider.value = budgets[at];
      slider.style.setProperty("--filled", `${(100 * (budgets[at] - slider.min)) / (slider.max - slider.min)}%`);
      slider.setAttribute("aria-valuetext", clockText(budgets[at] * 1000));
      bar.querySelector("[data-part=time]").textContent = clockText(budgets[at] * 1000);
    }
  }
}

const boxOf = (bar) => bar.querySelector("input[name^=budget-]");

// --- the connection --------------------------------------------------------------------------------------------------

class Check {
  constructor(form) {
    this.form = form;
    this.#storage();
    Promise.all([this.#save(), this.#stream()]).then((found) => {
      const good = found.every(Boolean);
      form.querySelector("[data-part=check-words]").textContent = good
        ? "Your connection is fit for a round."
        : "You can start all the same: what you write stays on this device until it is saved.";
    });
  }

  #say(name, good, words) {
    const place = this.form.querySelector(`[data-check=${name}]`);
    place.textContent = words;
    place.dataset.state = good ? "good" : "bad";
    return good;
  }

  async #save() {
    const times = [];
    try {
      for (let i = 0; i < TRIES; i += 1) {
        const begin = performance.now();
        const response = await fetch(this.form.dataset.checkUrl, { method: "POST", headers: { "X-CSRFToken": csrfToken() } });
        if (!response.ok) throw new Error(`status ${response.status}`);
        times.push(performance.now() - begin);
      }
    } catch {
      return this.#say("save", false, "No answer from the site");
    }
    const median = times.sort((a, b) => a - b)[1];
    return this.#say("save", median < 1000, `${Math.round(median)} ms there and back`);
  }

  /** Events that arrive half a second apart, as they were sent, are not held back on the way. */
  #stream() {
    return new Promise((resolve) => {
      const source = new EventSource(this.form.dataset.streamUrl);
      const end = (good, words) => {
        clearTimeout(timer);
        source.close();
        resolve(this.#say("stream", good, words));
      };
      const timer = setTimeout(() => end(false, "None; the page asks once a minute instead"), STREAM_PATIENCE_MS);
      let first = 0;
      source.addEventListener("first", () => (first = performance.now()));
      source.addEventListener("second", () => {
        if (performance.now() - first > 200) end(true, "Yes");
        else end(false, "Held back on the way; the page asks once a minute instead");
      });
      source.onerror = () => end(false, "None; the page asks once a minute instead");
    });
  }

  #storage() {
    try {
      localStorage.setItem("loop45:check", "1");
      localStorage.removeItem("loop45:check");
      this.#say("storage", true, "Yes");
    } catch {
      this.#say("storage", false, "No: storage is blocked, so text is saved more often");
    }
  }
}

const form = document.querySelector("[data-lobby]");
new Plan(form.querySelector("[data-plan]"));
new Check(form);
