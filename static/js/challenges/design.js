// The form of a design: sliders beside boxes, and controls that show only while others stand right. Sending it needs no script.

import { ParamForm } from "../lab/form.js";
import { placePopovers } from "../lab/help.js";

placePopovers(document);
for (const element of document.querySelectorAll("[data-design]")) new ParamForm(element, () => {});
