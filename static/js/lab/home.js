// The small live lab of the home page: one slider, one picture, the same engine and modules as the lab pages.

import { FigureBoard } from "./figures.js";
import { ParamForm } from "./form.js";
import { placePopovers } from "./help.js";
import { Runner } from "./runner.js";

class HomeLab {
  constructor(root) {
    this.root = root;
    this.words = root.querySelector("[data-part=words]");
    this.slot = crypto.getRandomValues(new Uint32Array(3)).join("-");
    this.form = new ParamForm(root.querySelector("form"), () => this.runner.soon());
    this.board = new FigureBoard(root.querySelector("[data-place=figures]"), { plotlyUrl: root.dataset.plotly });
    const handlers = { begin: () => this.#begin(), event: (kind, data) => this.#event(kind, data), refused: (refusal) => this.#say(refusal.message) };
    this.runner = new Runner({ url: root.dataset.startUrl, request: () => this.#body(), handlers });
    placePopovers(root);
    this.#whenSeen();
  }

  #whenSeen() {
    const watcher = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watcher.disconnect();
      this.runner.now();
    });
    watcher.observe(this.root);
  }

  #body() {
    return new URLSearchParams([...new URLSearchParams(this.root.dataset.fixed), ...this.form.entries(), ["slot", this.slot]]);
  }

  #begin() {
    this.words.textContent = "";
    this.board.stale = true;
  }

  #event(kind, data) {
    if (kind === "frame" || kind === "done") this.#picture(data);
    else if (kind === "waiting") this.#say(data.label);
    else if ("message" in data) this.#say(data.message);
  }

  #picture({ figures, html }) {
    const wanted = figures.filter((figure) => figure.key === this.root.dataset.figure);
    this.board.show(wanted);
    this.board.stale = false;
    this.#say("");
    const made = document.createElement("template");
    made.innerHTML = html;
    for (const place of this.root.querySelectorAll("[data-reading]")) {
      const found = made.content.querySelector(`[data-metric="${place.dataset.reading}"] :is(.lab-cell-value, .lab-tile-value)`);
      if (found) place.textContent = found.textContent.trim().replace(/\s+/g, " ");
    }
  }

  #say(words) {
    this.board.stale = false;
    this.words.textContent = words;
  }
}

for (const root of document.querySelectorAll("[data-home-lab]")) root.lab = new HomeLab(root);
