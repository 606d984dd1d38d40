// Two versions of a field side by side, with the words that differ marked. Nothing is merged: the person chooses.
//
//   const close = showConflict(place, { field, mine, theirs, at, label, describe, choose });
//     place     empty element the panel is put into, such as [data-place=conflict]
//     mine, theirs, at, label   from the "conflict" of save.js
//     describe  content => text to show: rows are JSON; the default shows it as it is
//     choose    which => promise of whether it took hold: writing.choose(field, which)
//   close() takes the panel away; it does so itself when a choice has taken hold.

import { wordMarks } from "./word-marks.js";

const LABELS = { mine: "Keep mine", theirs: "Keep theirs", both: "Keep both" };
const timeOf = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

export function showConflict(place, { field, mine, theirs, at, label, describe = (content) => content ?? "", choose }) {
  const panel = element("section", { className: "notice is-warning conflict", tabIndex: -1 });
  panel.setAttribute("aria-label", "Two versions of this text");
  const [ours, others] = wordMarks(describe(mine), describe(theirs));
  const versions = element("div", { className: "versions" });
  versions.append(version("Mine, in this tab", ours, mine), version(titleOf(at, label), others, theirs));
  const failed = element("p", { className: "field-error", hidden: true, role: "alert" });
  panel.append(
    element("h4", { textContent: "This was saved elsewhere in the meantime" }),
    element("p", { textContent: "Choose a version; the other one stays in the history. Other fields go on." }),
    versions,
    buttons(field, press),
    failed,
  );
  place.replaceChildren(panel);
  panel.focus();

  async function press(which, button) {
    button.disabled = true;
    failed.hidden = true;
    if (await choose(which)) return close();
    button.disabled = false;
    failed.textContent = "This could not be stored. Both versions are still here; choose again when the site answers.";
    failed.hidden = false;
  }

  function close() {
    if (panel.isConnected) place.replaceChildren();
  }
  return close;
}

const titleOf = (at, label) => ["Theirs", label && `from ${label}`, at && `saved ${timeOf(at)}`].filter(Boolean).join(", ");

function version(title, pieces, content) {
  const part = element("section", { ariaLabel: title });
  const text = element("pre", { tabIndex: 0 });
  for (const piece of pieces) text.append(piece.differs ? element("mark", { textContent: piece.text }) : piece.text);
  if (content === null) text.append(element("em", { textContent: "deleted" }));
  part.append(element("h5", { textContent: title }), text);
  return part;
}

/** Of two rows one has to go: they have the same key. */
function buttons(field, press) {
  const row = element("p", { className: "row" });
  for (const which of field.startsWith("text/") ? ["mine", "theirs", "both"] : ["mine", "theirs"]) {
    const button = element("button", { type: "button", className: "button", textContent: LABELS[which] });
    button.dataset.choice = which;
    button.addEventListener("click", () => press(which, button));
    row.append(button);
  }
  return row;
}

function element(name, properties) {
  return Object.assign(document.createElement(name), properties);
}
