// What every page has: the theme switch, the offline banner, the list of shortcuts, tokens of forms, words for requests that fail.

import { csrfToken } from "./csrf.js";
import { inTurn } from "./in-turn.js";
import "./local-time.js";

const darkScheme = window.matchMedia("(prefers-color-scheme: dark)");
const TYPED_INTO = "input:not([type=range], [type=checkbox], [type=radio]), textarea, select, [contenteditable]";

function isDark() {
  return document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : darkScheme.matches;
}

/** Goes to the other theme and remembers it; listeners of "themechange" redraw. */
function switchTheme() {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // storage is forbidden: the choice holds for this page
  }
  document.dispatchEvent(new CustomEvent("themechange"));
}

function showShortcuts() {
  document.getElementById("shortcuts").showModal();
}

function closeSentence() {
  document.querySelector("[data-sentence]").hidden = true;
}

const ACTIONS = { theme: switchTheme, shortcuts: showShortcuts, "close-sentence": closeSentence };
const KEYS = { t: switchTheme, "?": showShortcuts };

document.addEventListener("click", (event) => {
  const action = ACTIONS[event.target.closest("[data-action]")?.dataset.action];
  if (action) action();
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest(TYPED_INTO) || document.querySelector("dialog[open]")) return;
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

function showConnection() {
  document.querySelector("[data-offline]").hidden = navigator.onLine;
}
window.addEventListener("online", showConnection);
window.addEventListener("offline", showConnection);
showConnection();

// --- forms and htmx: the token as it is at the moment of sending, since a guest's first request changes it ------------

const TOKEN = "csrfmiddlewaretoken";

document.addEventListener(
  "submit",
  ({ target }) => {
    if (target.elements?.[TOKEN] && csrfToken()) target.elements[TOKEN].value = csrfToken();
  },
  true,
);

document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
  if (ctx.request.method !== "GET") ctx.fetch = (url, request) => inTurn(() => fetch(url, withToken(request)));
});

function withToken(request) {
  if (request.body?.has(TOKEN)) request.body.set(TOKEN, csrfToken());
  return { ...request, headers: { ...request.headers, "X-CSRFToken": csrfToken() } };
}

// --- requests that fail: a sentence instead of an error page in the middle of this one ------------------------------------

const WORDS = {
  403: "The page is older than your session. Reload it, then try again; nothing was changed.",
  404: "What you asked for is no longer there. Reload the page to see what is.",
  413: "That is larger than the site takes. Nothing was stored.",
  429: "Too many requests in a short time. Wait a few seconds, then try again.",
};
const BROKEN = "The site answered with an error, which was logged. Nothing was changed; try again in a moment.";
const UNREACHABLE = "The site cannot be reached. Nothing was changed; try again when the connection is back.";

document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => {
  if ([409, 422].includes(ctx.response.status)) return; // their fragments say what is wrong
  ctx.status = "refused"; // htmx then leaves the page as it is
  say(WORDS[ctx.response.status] ?? BROKEN);
});
document.addEventListener("htmx:error", () => say(UNREACHABLE));

/** Shows a sentence at the foot of the page until it is closed or the next one comes. */
function say(sentence) {
  const place = document.querySelector("[data-sentence]");
  place.querySelector("[data-part=words]").textContent = sentence;
  place.hidden = false;
}
