// One question at a time, by keyboard. The server renders questions and results; this module presses, counts and moves.

import { numberEcho } from "./echo.js";
import { drawFigures } from "./figures.js";
import { moveRow, orderKeys } from "./order.js";
import { QuestionClock } from "./time.js";

const place = document.getElementById("card");
const dialog = document.getElementById("flag-dialog");
const clock = new QuestionClock(place);
const find = (selector) => place.querySelector(selector);
const press = (selector) => find(selector)?.click();
let shown = null;

function fresh() {
  shown = find(".quiz-card");
  clock.start();
  numberEcho(find("[data-read]"));
  suggestRating();
  drawFigures(find("[data-figures]"));
  const focus = find("#number") ?? find("#free-text") ?? [...place.querySelectorAll("[data-focus]")].at(-1);
  focus?.focus({ preventScroll: !focus.matches("[data-focus]") });
}

// --- answering -----------------------------------------------------------------------------------------------------------

function submit(submitter) {
  const form = find("[data-answer]");
  if (form) form.requestSubmit(submitter ?? form.querySelector(".quiz-submit button, [data-suggested]"));
}

function pick(digit) {
  const inputs = [...place.querySelectorAll(".quiz-options input")];
  const input = inputs[digit - 1];
  if (!input) return false;
  input.click();
  input.focus();
  return true;
}

function rate(digit) {
  const buttons = [...place.querySelectorAll("[data-rate=reveal] button")];
  buttons[digit - 1]?.click();
  return buttons.length > 0;
}

function onDigit(digit) {
  if (find("[data-result]")) return digit === 4 && Boolean(press("[data-easy]"));
  return rate(digit) || pick(digit) || orderKeys(find("[data-order]"), digit);
}

function sayConfidence(key) {
  const radio = find(`.quiz-sure [data-key="${key}"]`);
  if (!radio) return false;
  radio.checked = true;
  submit();
  return true;
}

/** Of a free answer: the rating its ticks suggest; below half of the points good and easy cannot be said. */
function suggestRating() {
  const box = find("[data-rate=free]");
  if (!box) return;
  const points = [...place.querySelectorAll("input[name=points]")];
  const share = points.filter((point) => point.checked).length / points.length;
  const suggested = share < 0.5 ? 1 : share < 1 ? 2 : 3;
  for (const button of box.querySelectorAll("button")) {
    const rating = Number(button.value);
    button.disabled = share < 0.5 && rating > 2;
    button.classList.toggle("is-primary", rating === suggested);
    button.toggleAttribute("data-suggested", rating === suggested);
  }
}

place.addEventListener("change", (event) => event.target.name === "points" && suggestRating());
place.addEventListener("click", (event) => {
  const button = event.target.closest("[data-move]");
  if (button) moveRow(button.closest("[data-row]"), Number(button.dataset.move), button);
});
place.addEventListener("submit", (event) => event.target.matches("[data-answer]") && clock.write(event.target.elements.ms), true);

// --- keys ------------------------------------------------------------------------------------------------------------------

const KEYS = { h: "[data-hint]", u: "[data-undo]", f: "[data-flag-open]" };
const TYPED_INTO = "textarea, select, input:not([type=radio], [type=checkbox], [type=hidden])";

function onEnter(event) {
  if (event.target.closest("button, a, summary")) return false;
  if (find("[data-result]")) press("[data-next]");
  else if (find("[data-reveal]")) press("[data-reveal] button");
  else submit();
  return true;
}

function onSpace(event) {
  if (event.target.closest("button, a, summary, input")) return false;
  if (find("[data-result]")) press("[data-next]");
  else if (find("[data-reveal]")) press("[data-reveal] button");
  else return false;
  return true;
}

function handled(event) {
  if (event.key === "Enter") return onEnter(event);
  if (event.key === " ") return onSpace(event);
  if (/^[1-9]$/.test(event.key)) return onDigit(Number(event.key));
  if (event.key.startsWith("Arrow")) return orderKeys(find("[data-order]"), event.key);
  if ("spg".includes(event.key)) return sayConfidence(event.key);
  if (!KEYS[event.key]) return false;
  press(KEYS[event.key]);
  return true;
}

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || event.altKey) return;
  const typing = event.target.closest(TYPED_INTO);
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter" && typing) {
    press("[data-reveal] button");
    event.preventDefault();
  }
  if (typing || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
  if (handled(event)) event.preventDefault();
});

// --- reporting a question ----------------------------------------------------------------------------------------------------

place.addEventListener("click", (event) => {
  if (!event.target.closest("[data-flag-open]")) return;
  const { slug, item } = find("[data-slug]").dataset;
  const form = dialog.querySelector("[data-flag]");
  form.elements.slug.value = slug;
  form.elements.item_id.value = item;
  form.elements.text.value = "";
  document.getElementById("flag-answer").replaceChildren();
  dialog.showModal();
});
dialog.addEventListener("click", (event) => event.target.closest("[data-close]") && dialog.close());

// a hint or a report swaps too, and leaves the question where it is
document.addEventListener("htmx:after:swap", () => find(".quiz-card") !== shown && fresh());
fresh();
place.dataset.ready = ""; // keys work from here on
