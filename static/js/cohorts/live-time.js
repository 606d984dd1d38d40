// What a row counts: time left, time left of the phase, age of the last save. The server says moments, the page counts between them.

const AMBER_S = 30;
const RED_S = 120;
let aheadMs = 0; // of this device's clock before the server's

/** `moment` is the server's time when it made what has just come. */
export function serverSays(moment) {
  aheadMs = Date.now() - Date.parse(moment);
}

function clockText(seconds) {
  const whole = Math.floor(Math.abs(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function ageText(seconds) {
  return seconds < 60 ? `${Math.floor(seconds)} s ago` : seconds < 3600 ? `${Math.floor(seconds / 60)} min ago` : `${Math.floor(seconds / 3600)} h ago`;
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function count(node, now) {
  const left = (Date.parse(node.dataset.until) - now) / 1000;
  put(node, left >= 0 ? `${clockText(left)} left` : `over since ${clockText(left)}`);
}

function countPhase(node, now) {
  const left = (Date.parse(node.dataset.phaseUntil) - now) / 1000;
  put(node, left >= 0 ? clockText(left) : `\u2212${clockText(left)}`);
  node.classList.toggle("is-over", left < 0);
}

/** Only while the clock runs somebody should be typing. */
function age(node, now) {
  const seconds = Math.max(0, (now - Date.parse(node.dateTime)) / 1000);
  const running = node.dataset.age === "running";
  put(node, ageText(seconds));
  node.classList.toggle("is-amber", running && seconds > AMBER_S && seconds <= RED_S);
  node.classList.toggle("is-red", running && seconds > RED_S);
}

/** Brings everything that counts below `root` up to now. */
export function tick(root) {
  const now = Date.now() - aheadMs;
  for (const node of root.querySelectorAll("[data-until]")) count(node, now);
  for (const node of root.querySelectorAll("[data-phase-until]")) countPhase(node, now);
  for (const node of root.querySelectorAll("[data-age]")) age(node, now);
}
