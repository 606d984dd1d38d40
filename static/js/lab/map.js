// The trade-off map: every run of the lab as a dot over two chosen metrics; a dot opens its run.

import { FigureBoard } from "./figures.js";
import { fillSlots, jsonPart } from "./fragments.js";
import { reach } from "./http.js";

const CALM_MS = 400; // runs that follow each other closely refresh the map once

export class TradeoffMap {
  constructor(root, { mapUrl, plotly }) {
    this.root = root;
    this.mapUrl = mapUrl;
    this.board = new FigureBoard(root.querySelector("[data-place=map-figure]"), { plotlyUrl: plotly, onDraw: () => this.#link() });
    root.addEventListener("change", (event) => event.target.matches("select") && this.#load());
  }

  refresh() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#load(), CALM_MS);
  }

  async #load() {
    const chosen = [...this.root.querySelectorAll("select[name]")].map((select) => [select.name, select.value]);
    const response = await reach(`${this.mapUrl}?${new URLSearchParams(chosen)}`, { headers: { "HX-Request": "true" } }).catch(() => null);
    if (!response?.ok) return; // the map of before stays; the status line tells what is wrong with the site
    const html = fillSlots(this.root, await response.text());
    const figure = jsonPart(html, "figure");
    this.links = jsonPart(html, "links") ?? [];
    await this.board.settle(figure ? [figure] : []);
  }

  #link() {
    const plot = this.root.querySelector(".js-plotly-plot");
    if (!plot || plot.dataset.linked) return;
    plot.dataset.linked = "yes";
    plot.on("plotly_click", ({ points: [point] }) => {
      const url = this.links[point.curveNumber]?.[point.pointNumber];
      if (url) location.assign(url);
    });
  }
}
