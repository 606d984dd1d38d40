// Calculators: sliders beside their boxes, and the page's address, which holds what was changed. The server computes.

const nearest = (stops, value) => stops.reduce((best, stop, at) => (Math.abs(Math.log(stop / value)) < Math.abs(Math.log(stops[best] / value)) ? at : best), 0);

function connect(slider) {
  const box = slider.parentElement.querySelector("input[name]");
  const stops = slider.dataset.stops.split(" ").filter(Boolean);
  const describe = () => slider.setAttribute("aria-valuetext", `${box.value} ${slider.dataset.unit}`);
  slider.hidden = false;
  describe();
  // A slider moves its box before the form's own listener sends the boxes.
  slider.addEventListener("input", () => {
    box.value = stops.length ? stops[slider.value] : slider.value;
    describe();
  });
  box.addEventListener("input", () => {
    const value = Number(box.value);
    if (box.value.trim() && Number.isFinite(value)) slider.value = stops.length ? nearest(stops, Math.max(value, Number.MIN_VALUE)) : value;
    describe();
  });
}

/** The address opens the page with this calculator as it stands. */
function remember(form) {
  const changed = [...form.querySelectorAll("[data-default]")]
    .map((field) => [field.querySelector("input[name]"), Number(field.dataset.default)])
    .filter(([box, value]) => Number(box.value) !== value)
    .map(([box]) => [box.name, box.value]);
  const query = changed.length ? `?${new URLSearchParams([["calc", form.elements.calc.value], ...changed])}` : "";
  history.replaceState(history.state, "", `${location.pathname}${query}${location.hash}`);
}

/** Fields whose message has words are marked as invalid, the others are not. */
function markErrors(form) {
  for (const error of form.querySelectorAll(".field-error")) {
    error.parentElement.querySelector("input[name]").setAttribute("aria-invalid", String(Boolean(error.textContent.trim())));
  }
}

/** A link to a calculator opens it. */
function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  const box = target?.closest(".calculator-box");
  if (!box || box.open) return;
  box.open = true;
  target.scrollIntoView();
}
window.addEventListener("hashchange", openTarget);
openTarget();

for (const form of document.querySelectorAll("[data-calculator]")) {
  for (const slider of form.querySelectorAll("[data-slider]")) connect(slider);
  form.addEventListener("input", () => remember(form));
}
document.addEventListener("htmx:after:swap", () => document.querySelectorAll("[data-calculator]").forEach(markErrors));
