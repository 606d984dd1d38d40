// Figures of the quiz, drawn as those of the labs.

import { FigureBoard } from "../lab/figures.js";

/** Draws into `root` the figures that stand in it as JSON; nothing when there is no root. */
export function drawFigures(root) {
  if (!root) return;
  const figures = JSON.parse(root.querySelector("[data-json=figures] script").textContent);
  new FigureBoard(root, { plotlyUrl: root.dataset.plotly }).settle(figures);
}
