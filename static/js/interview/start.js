// The start form: only the chosen pacing's own fields are shown, the plan adds up as it is typed, sliders move their boxes.

class StartForm {
  constructor(form) {
    this.form = form;
    this.plan = form.querySelector("[data-custom-plan]");
    this.rows = [...form.querySelectorAll("[data-plan-row]")];
    for (const part of form.querySelectorAll(".pace-part")) part.style.flexGrow = part.dataset.weight;
    for (const slider of form.querySelectorAll("[data-slider-for]")) connect(slider);
    for (const button of this.plan.querySelectorAll("[data-remove-row], [data-add-row]")) button.hidden = false;
    form.addEventListener("change", () => this.#showOptions());
    this.plan.addEventListener("input", () => this.#showPlan());
    this.plan.addEventListener("click", (event) => this.#pressed(event));
    for (const row of this.rows) row.hidden = !used(row);
    this.#showOptions();
    this.#showPlan();
  }

  #showOptions() {
    const chosen = this.form.elements.preset.value;
    for (const option of this.form.querySelectorAll("[data-for-preset]")) option.hidden = option.dataset.forPreset !== chosen;
  }

  #showPlan() {
    const shown = this.rows.filter((row) => !row.hidden);
    const total = shown.reduce((sum, row) => sum + (Number(minutesOf(row).value) || 0), 0);
    this.plan.querySelector("[data-plan-total]").textContent = `${shown.length} phases, ${Number(total.toFixed(2))} minutes in all`;
    this.plan.querySelector("[data-add-row]").disabled = shown.length === this.rows.length;
    for (const button of this.plan.querySelectorAll("[data-remove-row]")) button.disabled = shown.length <= 2;
    for (const select of this.plan.querySelectorAll("[data-tag]")) this.#nameOptions(select);
  }

  #nameOptions(select) {
    for (const [at, option] of [...select.options].entries()) {
      const title = titleOf(this.rows[at]).value.trim();
      option.textContent = title ? `${at + 1}: ${title}` : `${at + 1}`;
      option.hidden = this.rows[at].hidden;
    }
  }

  #pressed(event) {
    if (event.target.closest("[data-add-row]")) this.#add();
    const row = event.target.closest("[data-remove-row]")?.closest("[data-plan-row]");
    if (row) this.#remove(row);
    this.#showPlan();
  }

  #add() {
    const row = this.rows.find((item) => item.hidden);
    row.hidden = false;
    minutesOf(row).value = "5";
    titleOf(row).focus();
  }

  /** The topics of a removed phase go to the one before it. */
  #remove(row) {
    row.hidden = true;
    titleOf(row).value = "";
    minutesOf(row).value = "";
    const left = this.rows.filter((item) => !item.hidden);
    const heir = left.findLast((item) => Number(item.dataset.planRow) < Number(row.dataset.planRow)) ?? left[0];
    for (const select of this.plan.querySelectorAll("[data-tag]")) if (select.value === row.dataset.planRow) select.value = heir.dataset.planRow;
    titleOf(heir).focus();
  }
}

const titleOf = (row) => row.querySelector("input[name^=phase-title]");
const minutesOf = (row) => row.querySelector("input[name^=phase-minutes]");
const used = (row) => Boolean(titleOf(row).value.trim() || minutesOf(row).value.trim());

function connect(slider) {
  const box = document.getElementById(slider.dataset.sliderFor);
  slider.hidden = false;
  slider.addEventListener("input", () => {
    box.value = slider.value;
    slider.setAttribute("aria-valuetext", `${slider.value} minutes`);
  });
  box.addEventListener("input", () => {
    if (Number.isFinite(Number(box.value))) slider.value = box.value;
  });
}

new StartForm(document.querySelector("[data-start-form]"));
