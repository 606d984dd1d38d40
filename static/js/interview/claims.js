// The Claims tab: a marked sentence, the number in it, and the run that should bear it out.

import { superseding } from "../newest.js";
import { send } from "./http.js";

export class Claims {
  #asking = superseding();

  constructor(root, config, desk) {
    Object.assign(this, { root, config, desk });
    this.place = root.querySelector("[data-place=claim-form]");
    this.list = root.querySelector("[data-place=claims]");
    this.words = root.querySelector("[data-part=claim-words]");
    root.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#keep(event.target);
    });
    root.addEventListener("change", (event) => event.target.name === "run" && this.#form(event.target.value));
    root.addEventListener("click", (event) => this.#pressed(event.target.closest("[data-claim-action]")));
  }

  /** A form for the span {field, quote, start, end}, filled in from what can be read in it. */
  async begin(span) {
    this.span = span;
    await this.#form("");
    this.place.querySelector("h3")?.focus();
  }

  async #form(run) {
    try {
      const url = `${this.config.base}claims/form?${new URLSearchParams({ ...this.span, run })}`;
      this.place.innerHTML = await (await send(url, { method: "GET", signal: this.#asking() })).text();
    } catch (refusal) {
      if (refusal.name !== "AbortError") this.place.textContent = refusal.message;
    }
  }

  async #keep(form) {
    const error = form.querySelector("[data-error]");
    error.hidden = true;
    try {
      const response = await send(`${this.config.base}claims/`, { body: Object.fromEntries(new FormData(form)) });
      this.list.innerHTML = await response.text();
      this.place.replaceChildren();
      this.words.textContent = "The claim is kept.";
    } catch (refusal) {
      Object.assign(error, { textContent: refusal.message, hidden: false });
    }
  }

  #pressed(button) {
    if (button?.dataset.claimAction === "cancel") this.place.replaceChildren();
    if (button?.dataset.claimAction === "delete") this.#delete(button.closest("[data-claim]").dataset.claim);
  }

  async #delete(claim) {
    try {
      const response = await send(`${this.config.base}claims/${claim}`, { method: "DELETE" });
      this.list.innerHTML = await response.text();
      this.words.textContent = "The claim is deleted.";
    } catch (refusal) {
      this.words.textContent = refusal.message;
    }
  }
}
