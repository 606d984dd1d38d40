// The figures of the statistics page, drawn as those of the labs.

import { FigureBoard } from "../lab/figures.js";

const root = document.querySelector("[data-figures]");
const figures = JSON.parse(root.querySelector("[data-json=figures] script").textContent);
new FigureBoard(root, { plotlyUrl: root.dataset.plotly }).settle(figures);
