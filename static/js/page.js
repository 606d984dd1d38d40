// What every page has: the theme switch, the offline banner, the list of shortcuts, the CSRF header of htmx requests.

import { csrfToken } from "./csrf.js";

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

const ACTIONS = { theme: switchTheme, shortcuts: showShortcuts };
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

document.addEventListener("htmx:config:request", ({ detail }) => {
  detail.ctx.request.headers["X-CSRFToken"] = csrfToken();
});
