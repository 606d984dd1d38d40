// Sweeping one parameter: a small form, then a curve that grows while the workers go through the values.

import { FigureBoard } from "./figures.js";
import { fillSlots, jsonPart } from "./fragments.js";
import { post, reach } from "./http.js";

const POLL_MS = 500;
const MOST_MISSES = 10;

export class SweepPanel {
  constructor(root, { sweepUrl, plotly, entries, onEnd }) {
    this.root = root;
    this.url = sweepUrl;
    this.entries = entries;
    this.onEnd = onEnd;
    this.form = root.querySelector("form");
    this.board = new FigureBoard(root.querySelector("[data-place=sweep-figure]"), { plotlyUrl: plotly });
    this.form.addEventListener("submit", (event) => this.#start(event));
    this.form.elements["sweep-field"]?.addEventListener("change", () => this.#offerBounds());
    root.addEventListener("click", (event) => event.target.closest("[data-sweep-cancel]") && this.#cancel(event.target.closest("[data-sweep-cancel]")));
    root.addEventListener("change", (event) => event.target.name === "metric" && this.#poll());
  }

  open() {
    this.root.hidden = false;
    this.root.scrollIntoView({ block: "nearest" });
    this.form.elements["sweep-field"].focus({ preventScroll: true });
    this.#offerBounds();
  }

  /** The slider's range of the chosen parameter as a first proposal. */
  #offerBounds() {
    const { low, high, scale } = this.form.elements["sweep-field"].selectedOptions[0].dataset;
    this.form.elements["sweep-low"].value = low;
    this.form.elements["sweep-high"].value = high;
    this.form.elements["sweep-scale"].value = scale;
  }

  async #start(event) {
    event.preventDefault();
    clearTimeout(this.timer);
    const body = new URLSearchParams([...this.entries(), ...new FormData(this.form)]);
    await this.#show(() => post(this.url, body));
  }

  async #cancel(button) {
    clearTimeout(this.timer);
    await this.#show(() => post(button.dataset.sweepCancel, new URLSearchParams()));
  }

  async #poll() {
    clearTimeout(this.timer);
    const metric = this.root.querySelector("select[name=metric]")?.value ?? "";
    await this.#show(() => reach(`${this.pollUrl}?${new URLSearchParams({ metric })}`, { headers: { "HX-Request": "true" } }));
  }

  async #show(ask) {
    const error = this.root.querySelector("[data-part=error]");
    try {
      const response = await ask();
      const html = fillSlots(this.root, await response.text());
      this.misses = 0;
      error.hidden = true;
      const figure = jsonPart(html, "figure");
      await this.board.settle(figure ? [figure] : []);
      this.#goOn(html.querySelector("[data-poll]"));
    } catch (refusal) {
      error.textContent = refusal.message;
      error.hidden = false;
      this.misses = (this.misses ?? 0) + 1;
      if (refusal.kind === "offline" && this.pollUrl && this.misses < MOST_MISSES) this.timer = setTimeout(() => this.#poll(), POLL_MS * this.misses);
    }
  }

  #goOn(node) {
    this.pollUrl = node?.dataset.poll ?? this.pollUrl;
    if (node?.dataset.active === "yes") this.timer = setTimeout(() => this.#poll(), POLL_MS);
    else this.onEnd();
  }
}
