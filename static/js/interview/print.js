// The print page: its button asks the browser to print. Without this module the browser's own menu does the same.

const button = document.querySelector("[data-action=print]");
button.hidden = false;
button.addEventListener("click", () => window.print());
