// The figures of the statistics page.

import { drawFigures } from "./figures.js";

drawFigures(document.querySelector("[data-figures]"));
