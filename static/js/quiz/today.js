// Enter starts the day's session.

document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest("a, button, input, select, textarea, summary, dialog")) return;
  document.querySelector("[data-start]")?.click();
});
