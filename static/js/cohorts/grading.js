// Grading one piece: levels by number keys, evidence from what is selected, and a draft that keeps itself.

import { csrfToken } from "../csrf.js";
import { inTurn } from "../in-turn.js";

const SAVE_AFTER_MS = 800;
const RETRY_MS = 5_000;
const MAX_QUOTE = 1000;
const MAX_EVIDENCE = 12;
const TYPED_INTO = "input:not([type=radio], [type=checkbox]), textarea, select";

const form = document.querySelector("[data-grading]");
const subjects = [...form.querySelectorAll("[data-subject]")];
const passages = [...document.querySelectorAll("[data-passage]")];
const said = form.querySelector("[data-part=saved]");
let here = Math.max(0, subjects.findIndex((subject) => subject.classList.contains("is-wrong")));
let passage = null;
let timer = 0;
let unsaved = false;

// --- where one is --------------------------------------------------------------------------------------------------------

function goTo(place, { move = true } = {}) {
  here = Math.min(Math.max(place, 0), subjects.length - 1);
  for (const [number, subject] of subjects.entries()) subject.classList.toggle("is-current", number === here);
  if (move) subjects[here].focus();
}

function toPassage(step) {
  if (!passages.length) return;
  const place = passage ? passages.indexOf(passage) + step : step > 0 ? 0 : passages.length - 1;
  setPassage(passages[Math.min(Math.max(place, 0), passages.length - 1)]);
  passage.scrollIntoView({ block: "nearest" });
  passage.focus({ preventScroll: true });
}

function setPassage(element) {
  passage?.classList.remove("is-current");
  passage = element;
  passage.classList.add("is-current");
}

// --- evidence ------------------------------------------------------------------------------------------------------------

const field = (subject) => subject.querySelector("[data-part=evidence]");
const evidenceOf = (subject) => JSON.parse(field(subject).value || "[]");

/** What is selected inside a passage, else the passage one is at. */
function chosen() {
  const selection = window.getSelection();
  const text = selection.toString().trim();
  const begin = selection.anchorNode;
  const inside = text && (begin instanceof Element ? begin : begin?.parentElement)?.closest("[data-passage]");
  if (inside) return entryOf(inside, inside.dataset.kind === "quote" ? text : inside.dataset.text);
  return passage ? entryOf(passage, passage.dataset.text ?? passage.textContent.trim()) : null;
}

function entryOf(element, text) {
  return { kind: element.dataset.kind, ref: element.dataset.ref, text: shortened(text) };
}

/** At most what is kept, cut between two words. */
function shortened(text) {
  return text.length <= MAX_QUOTE ? text : text.slice(0, text.lastIndexOf(" ", MAX_QUOTE));
}

function cite(entry) {
  if (!entry) return tell("Select a passage first, or go to one with ] and [.");
  const subject = subjects[here];
  const list = evidenceOf(subject);
  if (list.length >= MAX_EVIDENCE) return tell(`${MAX_EVIDENCE} pieces of evidence are enough for one point.`);
  if (!list.some((other) => other.ref === entry.ref && other.text === entry.text)) write(subject, [...list, entry]);
  tell("Cited.");
}

function write(subject, list) {
  field(subject).value = JSON.stringify(list);
  show(subject);
  changed();
}

function show(subject) {
  const list = evidenceOf(subject);
  subject.querySelector("[data-part=cited]").replaceChildren(...list.map((entry, place) => line(subject, entry, place)));
}

function line(subject, entry, place) {
  const item = document.createElement("li");
  const words = document.createElement("span");
  words.textContent = entry.kind === "quote" ? `“${entry.text}”` : entry.text || entry.ref;
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "button is-quiet";
  remove.textContent = "Remove";
  remove.setAttribute("aria-label", `Remove the evidence: ${words.textContent.slice(0, 60)}`);
  remove.addEventListener("click", () => {
    write(subject, evidenceOf(subject).filter((_, other) => other !== place));
    subject.focus();
  });
  item.append(words, remove);
  return item;
}

// --- the draft -----------------------------------------------------------------------------------------------------------

function tell(words) {
  said.textContent = words;
}

function changed() {
  unsaved = true;
  clearTimeout(timer);
  timer = setTimeout(save, SAVE_AFTER_MS);
}

async function save() {
  unsaved = false;
  const body = new FormData(form);
  try {
    const answer = await inTurn(() => fetch(form.dataset.draft, { method: "POST", body, headers: { "X-CSRFToken": csrfToken() } }));
    if (answer.ok) return tell("Draft kept.");
    if (![409, 422].includes(answer.status)) return again("The draft could not be kept yet; trying again.");
    tell((await answer.json()).detail);
  } catch {
    again("You are offline; the draft is kept as soon as the site answers.");
  }
}

function again(words) {
  unsaved = true;
  tell(words);
  clearTimeout(timer);
  timer = setTimeout(save, RETRY_MS);
}

// --- what people do --------------------------------------------------------------------------------------------------------

function setLevel(value) {
  const radio = subjects[here].querySelector(`[type=radio][value="${value}"]`);
  radio.checked = true;
  changed();
}

const KEYS = {
  j: () => goTo(here + 1),
  k: () => goTo(here - 1),
  e: () => cite(chosen()),
  c: () => subjects[here].querySelector("[data-part=comment]").focus(),
  n: () => form.querySelector("[name=then][value=next]").click(),
  "]": () => toPassage(1),
  "[": () => toPassage(-1),
  "-": () => setLevel("none"),
};
for (const level of ["0", "1", "2", "3", "4"]) KEYS[level] = () => setLevel(level);

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target.closest("textarea")) return goTo(here);
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest(TYPED_INTO) || document.querySelector("dialog[open]")) return;
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-cite]");
  if (button) return cite({ kind: button.dataset.kind, ref: button.dataset.ref, text: shortened(button.dataset.text) });
  const clicked = event.target.closest("[data-passage]");
  if (clicked) setPassage(clicked);
});

form.addEventListener("focusin", ({ target }) => {
  const place = subjects.indexOf(target.closest("[data-subject]"));
  if (place >= 0 && place !== here) goTo(place, { move: false });
});

form.addEventListener("input", changed);
form.addEventListener("change", ({ target }) => {
  if (target.dataset.part !== "again" || !target.value) return;
  const comment = target.closest("[data-subject]").querySelector("[data-part=comment]");
  comment.value = [comment.value.trim(), target.value].filter(Boolean).join(" ");
  target.value = "";
  changed();
});

form.addEventListener("submit", () => {
  clearTimeout(timer);
  unsaved = false;
});
window.addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});

for (const subject of subjects) show(subject);
goTo(here);
