// Keys of the problem pages. They do nothing while something is typed into, or a dialog is open.

const phases = () => [...document.querySelectorAll(".rail-phase")];
const press = (selector) => document.querySelector(selector)?.click();

function neighbour(step) {
  const here = phases().findIndex((link) => link.hasAttribute("aria-current"));
  phases()[here + step]?.click();
}

const KEYS = {
  n: () => document.getElementById("notes-text")?.focus(),
  r: () => press(".reveal button"),
  s: () => press("[data-clock] [data-part=toggle]"),
  "[": () => neighbour(-1),
  "]": () => neighbour(1),
};

function actionOf(key) {
  return /^[1-9]$/.test(key) ? () => phases()[key - 1]?.click() : KEYS[key];
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input:not([type=range], [type=checkbox]), textarea, select, [contenteditable]")) return;
  const action = actionOf(event.key);
  if (!action) return;
  event.preventDefault();
  action();
});
