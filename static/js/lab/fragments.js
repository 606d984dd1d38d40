// Pieces of HTML that the server renders, put where the page has a place for them.

/** Puts each [data-slot] of `html` into the place of that name under `root`; places not named stay as they are. */
export function fillSlots(root, html) {
  const made = document.createElement("template");
  made.innerHTML = html;
  for (const part of made.content.querySelectorAll("[data-slot]")) {
    const place = root.querySelector(`[data-place="${part.dataset.slot}"]`);
    if (place) replaceKeepingFocus(place, [...part.childNodes]);
  }
  return made.content;
}

/** New children for `place`; whoever had the focus or was open by its id is so again. */
function replaceKeepingFocus(place, children) {
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  const open = [...place.querySelectorAll("details[open][id]")].map((node) => node.id);
  place.replaceChildren(...children);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

/** The JSON block called `name` in `node`; null without one. */
export function jsonPart(node, name) {
  const found = node.querySelector(`[data-json="${name}"] > script`);
  return found ? JSON.parse(found.textContent) : null;
}
