// Figures of the analytics pages, drawn as those of the labs.

import { FigureBoard } from "../lab/figures.js";

for (const root of document.querySelectorAll("[data-figures]")) {
  const figures = JSON.parse(root.querySelector("[data-json=figures] script").textContent);
  new FigureBoard(root, { plotlyUrl: root.dataset.plotly }).settle(figures);
}
