// Looking back: the scrubber asks for a moment, play asks for one after another, a link names a second.

import { Fetcher } from "./replay-fetch.js";

const root = document.querySelector("[data-replay]");
const part = (name) => document.querySelector(`[data-part="${name}"]`);
const scrubber = document.getElementById("scrubber");
const endMs = Number(root.dataset.end);
const stops = root.dataset.stops.split(",").map(Number);
const TICK_MS = 250;
let timer = 0;

const fetcher = new Fetcher(root.dataset.url, (html) => {
  part("moment").innerHTML = html;
  part("error").hidden = true;
}, () => {
  part("error").hidden = false;
  stop();
});

function clock(ms) {
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** Shows `ms`; the page follows when the server has answered. */
function show(ms) {
  const at = Math.min(endMs, Math.max(0, Math.round(ms)));
  scrubber.value = String(at);
  scrubber.setAttribute("aria-valuetext", clock(at));
  part("time").textContent = `${clock(at)} of ${clock(endMs)}`;
  part("permalink").href = `#t=${Math.round(at / 1000)}`;
  fetcher.want(at);
}

function current() {
  return Number(scrubber.value);
}

function speed() {
  return Number(root.querySelector("[name=speed]:checked").value);
}

function stop() {
  clearInterval(timer);
  timer = 0;
  named("play").setAttribute("aria-pressed", "false");
  part("play").textContent = "Play";
}

function play() {
  if (timer) return stop();
  if (current() >= endMs) show(0);
  let position = current();
  timer = setInterval(() => {
    position += TICK_MS * speed();
    show(position);
    if (position >= endMs) stop();
  }, TICK_MS);
  named("play").setAttribute("aria-pressed", "true");
  part("play").textContent = "Pause";
}

function named(action) {
  return root.querySelector(`[data-replay-action="${action}"]`);
}

const steps = {
  back: () => show(stops.findLast((ms) => ms < current() - 500) ?? 0),
  on: () => show(stops.find((ms) => ms > current() + 500) ?? endMs),
  play,
};
const KEYS = { " ": play, j: steps.on, k: steps.back, 1: () => choose(1), 4: () => choose(4), 6: () => choose(16) };

function choose(value) {
  root.querySelector(`[name=speed][value="${value}"]`).checked = true;
}

function fromAddress() {
  const found = /^#t=(\d{1,6})$/.exec(location.hash);
  if (found) show(Number(found[1]) * 1000);
}

root.addEventListener("click", (event) => {
  const action = event.target.closest("[data-replay-action]")?.dataset.replayAction;
  if (action) steps[action]();
});
scrubber.addEventListener("input", () => {
  if (timer) stop();
  show(current());
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=range]), textarea, button, a, summary, dialog")) return;
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
window.addEventListener("hashchange", fromAddress);
fromAddress();
