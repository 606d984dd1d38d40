// When the worked answer has been revealed, reading goes on at its heading instead of at the button that is gone.

document.addEventListener("htmx:after:swap", () => {
  if (document.activeElement === document.body) document.getElementById("answer-title")?.focus();
});
