// Choosing questions to practise: all at once, with a count.

const all = document.querySelector("[data-all]");
const ones = [...document.querySelectorAll("[data-one]")];
const count = document.querySelector("[data-count]");
const button = count?.closest("button");

function show() {
  const chosen = ones.filter((one) => one.checked).length;
  count.textContent = String(chosen);
  button.disabled = chosen === 0;
  all.checked = chosen === ones.length;
  all.indeterminate = chosen > 0 && chosen < ones.length;
}

all?.addEventListener("change", () => {
  for (const one of ones) one.checked = all.checked;
  show();
});
for (const one of ones) one.addEventListener("change", show);
if (all) show();
