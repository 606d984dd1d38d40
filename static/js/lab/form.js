// The parameter form: sliders beside number boxes, fields that depend on others, errors, and the page's address.

export class ParamForm {
  /** onTweak(kind): "typing" while a box is typed into, "settled" for everything else. */
  constructor(element, onTweak) {
    this.element = element;
    this.fields = [...element.querySelectorAll("[data-field]")].map((node) => new Field(node));
    element.addEventListener("input", (event) => this.#changed(event, onTweak));
    element.addEventListener("submit", (event) => {
      event.preventDefault();
      onTweak("settled");
    });
    this.showDependent();
  }

  #changed(event, onTweak) {
    const field = this.fields.find((item) => item.node.contains(event.target));
    if (!field) return;
    field.follow(event.target);
    this.showDependent();
    onTweak(event.target.matches("[type=number], [type=text], textarea") ? "typing" : "settled");
  }

  /** Shows the fields whose conditions hold. Hidden ones keep their values and are sent all the same. */
  showDependent() {
    const values = Object.fromEntries(this.fields.map((field) => [field.name, field.values]));
    for (const field of this.fields) field.node.hidden = !field.shownFor(values);
    for (const group of this.element.querySelectorAll("[data-group]")) {
      group.hidden = ![...group.querySelectorAll("[data-field]")].some((node) => !node.hidden);
    }
  }

  /** Every parameter as the server reads it. */
  entries() {
    return this.fields.flatMap((field) => field.values.map((value) => [field.name, value]));
  }

  /** What differs from the defaults, for the page's address. */
  changedEntries() {
    return this.fields.filter((field) => !field.isDefault).flatMap((field) => field.values.map((value) => [field.name, value]));
  }

  /** Sets the named fields and puts all others back to their default. */
  apply(values) {
    for (const field of this.fields) field.values = values[field.name] ?? field.defaults;
    this.clearErrors();
    this.showDependent();
  }

  /** Whether the form stands as `apply(values)` would leave it. */
  matches(values) {
    return this.fields.every((field) => field.equals(values[field.name] ?? field.defaults));
  }

  /** Puts each sentence beside its field and returns those that have no field. */
  showErrors(errors) {
    this.clearErrors();
    const homeless = [];
    for (const [name, sentence] of Object.entries(errors)) {
      const field = this.fields.find((item) => item.name === name && !item.node.hidden);
      if (field) field.error = sentence;
      else homeless.push(sentence);
    }
    return homeless;
  }

  clearErrors() {
    for (const field of this.fields) field.error = "";
  }
}

class Field {
  constructor(node) {
    this.node = node;
    this.name = node.dataset.field;
    this.kind = node.dataset.kind;
    this.defaults = JSON.parse(node.dataset.default);
    this.conditions = JSON.parse(node.dataset.shownWhen);
    this.stops = JSON.parse(node.dataset.stops || "[]"); // as texts: "1e9" stays readable
    this.slider = node.querySelector("input[type=range]");
    this.inputs = [...node.querySelectorAll(`[name="${CSS.escape(this.name)}"]:not([type=hidden])`)];
    this.#limit();
    this.#describe();
  }

  get values() {
    if (this.kind === "switch") return [this.inputs[0].checked ? "true" : "false"];
    if (this.kind === "segmented") return this.#checked();
    if (this.kind === "chips") return this.#checked().length ? this.#checked() : [""];
    return [this.inputs[0].value.trim()];
  }

  set values(wanted) {
    if (this.kind === "switch") this.inputs[0].checked = wanted[0] === "true";
    else if (this.kind === "segmented" || this.kind === "chips") for (const input of this.inputs) input.checked = wanted.includes(input.value);
    else this.inputs[0].value = wanted[0];
    this.follow(this.inputs[0]);
  }

  get isDefault() {
    return this.equals(this.defaults);
  }

  equals(wanted) {
    if (this.kind === "number" && this.values[0] !== "" && wanted[0] !== "") return Number(this.values[0]) === Number(wanted[0]);
    return JSON.stringify([...this.values].sort()) === JSON.stringify([...wanted].sort());
  }

  shownFor(values) {
    return Object.entries(this.conditions).every(([name, wanted]) => !(name in values) || values[name].some((value) => wanted.includes(value)));
  }

  /** Brings the slider and the box together after `changed` moved. */
  follow(changed) {
    if (this.slider && changed === this.slider) this.inputs[0].value = this.#fromSlider();
    else if (this.slider && this.inputs[0].value.trim() !== "") this.#moveSlider(Number(this.inputs[0].value));
    this.#limit();
    this.#describe();
  }

  #fromSlider() {
    return this.stops.length ? this.stops[this.slider.valueAsNumber] : String(this.slider.valueAsNumber);
  }

  #moveSlider(value) {
    if (Number.isNaN(value)) return;
    this.slider.value = this.stops.length ? nearest(this.stops, value) : value;
  }

  #checked() {
    return this.inputs.filter((input) => input.checked).map((input) => input.value);
  }

  /** Chips beyond the allowed number cannot be ticked. */
  #limit() {
    const most = Number(this.node.dataset.maxItems || 0);
    if (this.kind !== "chips" || !most) return;
    const full = this.#checked().length >= most;
    for (const input of this.inputs) input.disabled = full && !input.checked;
  }

  /** Tells a screen reader the value and its unit, not the slider's position; paints the track up to the thumb. */
  #describe() {
    if (!this.slider) return;
    this.slider.setAttribute("aria-valuetext", `${this.inputs[0].value} ${this.node.dataset.unit}`.trim());
    const { min, max, valueAsNumber } = this.slider;
    this.slider.style.setProperty("--filled", `${(100 * (valueAsNumber - min)) / (max - min || 1)}%`);
  }

  set error(sentence) {
    const place = this.node.querySelector("[data-error]");
    place.textContent = sentence;
    place.hidden = !sentence;
    for (const input of this.inputs) {
      input.toggleAttribute("aria-invalid", false);
      if (sentence) input.setAttribute("aria-invalid", "true");
    }
  }
}

/** Index of the stop next to `value` by ratio. */
export function nearest(stops, value) {
  const distance = (stop) => Math.abs(Math.log(Number(stop) / Math.max(value, Number.MIN_VALUE)));
  return stops.reduce((best, stop, i) => (distance(stop) < distance(stops[best]) ? i : best), 0);
}
