// The Calculators tab: the server computes; a line can be used as a row of the numbers.

import { superseding } from "../newest.js";
import { fragment } from "./http.js";

const CALM_MS = 150;
const shortened = (value) => String(Number(Number(value).toPrecision(4)));

export class Calculators {
  #opening = superseding();
  #computing = superseding();

  /** addRow(list, cells) keeps a number. */
  constructor(root, config, addRow) {
    Object.assign(this, { root, config, addRow });
    this.pick = root.querySelector("[data-calculator-pick]");
    this.place = root.querySelector("[data-place=calculator]");
    this.pick?.addEventListener("change", () => this.#open());
    root.addEventListener("input", (event) => event.target.closest("[data-calculator]") && this.#soon());
    root.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#compute();
    });
    root.addEventListener("click", (event) => this.#use(event.target.closest("[data-use-number]")));
  }

  /** The tab was opened: what the interviewer has told meanwhile is fixed in it. */
  opened() {
    if (this.pick) this.#open();
  }

  async #open() {
    const typed = new Map([...this.place.querySelectorAll("input[name]:not([readonly])")].map((box) => [box.name, box.value]));
    const query = this.shown === this.pick.value ? `?${new URLSearchParams([...typed])}` : "";
    try {
      const picked = this.pick.value;
      this.place.innerHTML = await fragment(`${this.config.base}calculators/${picked}${query}`, { signal: this.#opening() });
      this.shown = picked;
    } catch (refusal) {
      if (refusal.name !== "AbortError") this.place.textContent = refusal.message;
    }
  }

  #soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#compute(), CALM_MS);
  }

  async #compute() {
    const form = this.place.querySelector("form");
    const lines = this.place.querySelector("[data-place=calculator-lines]");
    try {
      const url = `${form.dataset.url}?${new URLSearchParams([...new FormData(form), ["lines", "1"]])}`;
      lines.innerHTML = await fragment(url, { signal: this.#computing() });
    } catch (refusal) {
      if (refusal.name !== "AbortError") lines.textContent = refusal.message;
    }
  }

  #use(button) {
    if (!button) return;
    const { name, value, unit, calculator } = button.dataset;
    this.addRow("numbers", { name, value: Number(shortened(value)), unit, calculator });
    button.textContent = "In your numbers";
    button.disabled = true;
  }
}
