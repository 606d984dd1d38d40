// The Labs tab: a lab's form, its runs without leaving the page, the list of runs with their pins. Plotly comes with the first lab.

import { FigureBoard } from "../lab/figures.js";
import { ParamForm } from "../lab/form.js";
import { fillSlots } from "../lab/fragments.js";
import { placePopovers } from "../lab/help.js";
import { post } from "../lab/http.js";
import { Runner } from "../lab/runner.js";
import { StatusLine } from "../lab/status.js";
import { oneAtATime, superseding } from "../newest.js";
import { fragment, send } from "./http.js";

export class LabsTab {
  #opening = superseding();

  /** handlers: insert(text), ran(), announce(sentence) */
  constructor(root, config, handlers) {
    Object.assign(this, { root, config, handlers });
    this.runs = config.runs;
    this.place = root.querySelector("[data-place=lab]");
    this.list = root.querySelector("[data-place=runs]");
    this.pick = root.querySelector("[data-lab-pick]");
    this.slot = crypto.getRandomValues(new Uint32Array(3)).join("-");
    for (const href of [root.dataset.plotlyCss, root.dataset.labCss]) addStylesheet(href);
    this.pick.addEventListener("change", () => this.open(this.pick.value));
    this.list.addEventListener("click", (event) => this.#listPressed(event.target.closest("[data-run-action]")));
    this.list.addEventListener("change", (event) => event.target.matches("[data-run-label]") && this.#label(event.target));
    placePopovers(root);
    if (this.pick.value) this.open(this.pick.value);
  }

  /** Opens a lab, with the parameters of run `run` if that is given, and shows that run. */
  async open(lab, run = "") {
    if (!lab) return;
    this.runner?.stop();
    this.pick.value = lab;
    try {
      this.place.innerHTML = await fragment(`${this.config.base}labs/${lab}?${new URLSearchParams({ run })}`, { signal: this.#opening() });
    } catch (refusal) {
      if (refusal.name !== "AbortError") this.place.textContent = refusal.message;
      return;
    }
    this.lab = lab;
    this.#connect();
    if (run) this.runner.resume(`${this.config.base}runs/${run}/events`);
  }

  /** Something was told, or has changed: what is fixed by now stands fixed in the open form, and the rest as it was set. */
  async renewLocks() {
    if (!this.lab) return;
    const { lab, form } = this;
    const asSet = new URLSearchParams(form.entries()).toString();
    const html = await fragment(`${this.config.base}labs/${lab}?${asSet}&as_set=1`).catch(() => null);
    const old = this.place.querySelector("[data-place=params]");
    if (html === null || form !== this.form) return;
    if (asSet !== new URLSearchParams(form.entries()).toString()) return this.renewLocks(); // set anew meanwhile
    const made = document.createElement("template");
    made.innerHTML = html;
    const fresh = made.content.querySelector("[data-place=params]");
    if (fixedIn(fresh) === fixedIn(old)) return;
    for (const box of fresh.querySelectorAll("[data-prediction] [name]")) box.value = old.querySelector(`[name="${box.name}"]`)?.value ?? box.value;
    fresh.querySelector("[data-lab-action=pin]").disabled = old.querySelector("[data-lab-action=pin]").disabled;
    old.replaceWith(fresh);
    this.#connectForm();
  }

  #connectForm() {
    this.form = new ParamForm(this.place.querySelector("form[data-lab-form]"), () => {}); // in an interview a run is asked for, not made by every touch of a slider
    this.form.element.addEventListener("submit", () => this.run());
    this.place.querySelector("[data-preset]")?.addEventListener("change", ({ target }) => this.#preset(target.selectedOptions[0]));
  }

  #connect() {
    const { place } = this;
    this.number = null;
    this.#connectForm();
    this.board = new FigureBoard(place.querySelector("[data-place=figures]"), { plotlyUrl: this.root.dataset.plotly });
    this.status = new StatusLine(place.querySelector("[data-status]"));
    const handlers = { begin: () => this.#begin(), event: (kind, data) => this.#event(kind, data), refused: (refusal) => this.#refused(refusal) };
    this.runner = new Runner({ url: `${this.config.base}labs/${this.lab}/runs`, request: () => this.#body(), handlers });
    place.firstElementChild.addEventListener("click", (event) => this.#pressed(event.target.closest("[data-lab-action]")));
  }

  run() {
    this.runner?.now();
  }

  #preset(option) {
    if (option.dataset.values) this.form.apply(JSON.parse(option.dataset.values));
  }

  #pressed(button) {
    const actions = { run: () => this.run(), reset: () => this.form.apply({}), pin: () => this.pinLast(), cancel: () => this.#cancel() };
    actions[button?.dataset.labAction]?.();
  }

  /** Parameters, and before the first run what is expected of it. */
  #body() {
    const said = [...this.place.querySelectorAll("[data-prediction] [name]")].map((input) => [input.name, input.value.trim()]);
    return new URLSearchParams([...this.form.entries(), ...said, ["slot", this.slot]]);
  }

  async #cancel() {
    if (!this.runner.busy) return;
    if (this.runner.cancelUrl) await post(this.runner.cancelUrl, new URLSearchParams()).catch((refusal) => this.status.trouble(refusal.kind, refusal.message));
    else this.runner.stop();
  }

  // --- a run -----------------------------------------------------------------------------------------------------------------

  #begin() {
    this.startedAt = performance.now();
    this.pictured = false;
    this.form.clearErrors();
    this.#stale(true);
    this.status.begin();
    this.status.root.scrollIntoView({ block: "start" });
  }

  #event(kind, data) {
    if (data.number) this.number = data.number;
    if (kind === "frame") this.#picture(data, false);
    else if (kind === "progress") this.status.progress(data);
    else if (kind === "waiting") this.status.waiting(data.label);
    else if (kind === "done") this.#done(data);
    else if (kind === "started") this.status.started();
    else if (kind !== "queued") this.#ended(kind, data.message);
  }

  #picture({ figures, html }, settled) {
    if (settled) this.board.settle(figures);
    else this.board.show(figures);
    fillSlots(this.place, html);
    this.#stale(false);
    if (!this.pictured) this.status.root.scrollIntoView({ block: "start" }); // only now is there enough below it
    this.pictured = true;
  }

  #done(data) {
    this.#picture(data, true);
    this.place.querySelector("[data-prediction]")?.remove();
    this.place.querySelector("[data-lab-action=pin]").disabled = false;
    const took = ((performance.now() - this.startedAt) / 1000).toFixed(2);
    this.status.done(`Run ${data.number}: ${data.cached ? "known result" : `done in ${took} s`}`);
    this.refreshRuns();
    this.handlers.ran();
  }

  #ended(kind, message) {
    this.#stale(false);
    this.status.trouble(kind, message);
    this.refreshRuns();
  }

  #refused({ kind, message, errors }) {
    this.#stale(false);
    const homeless = this.form.showErrors(errors);
    const place = this.place.querySelector("[data-error=prediction]");
    if (place) Object.assign(place, { textContent: errors.prediction ?? "", hidden: !errors.prediction });
    this.status.trouble(kind, kind === "invalid" && !homeless.length ? "One value cannot be used; the reason stands beside it." : message);
  }

  #stale(value) {
    this.board.stale = value;
    for (const name of ["tiles", "comparison"]) this.place.querySelector(`[data-place=${name}]`).classList.toggle("is-stale", value);
  }

  // --- the list of runs --------------------------------------------------------------------------------------------------------

  refreshRuns = oneAtATime(async () => {
    const html = await fragment(`${this.config.base}runs/`).catch(() => null);
    if (html !== null) this.#showRuns(html);
  });

  #showRuns(html) {
    const { runNumber, runAction } = { runNumber: document.activeElement.closest("[data-run-number]")?.dataset.runNumber, ...document.activeElement.dataset };
    this.list.innerHTML = html;
    this.runs = [...this.list.querySelectorAll("[data-run-number]")].map((item) => ({
      number: Number(item.dataset.runNumber),
      lab: item.dataset.runLab,
      pinned: item.dataset.pinned === "1",
      label: item.querySelector("[data-run-label]")?.value ?? "",
    }));
    if (runNumber && runAction) this.list.querySelector(`[data-run-number="${runNumber}"] [data-run-action=${runAction}]`)?.focus();
  }

  #listPressed(button) {
    if (!button) return;
    const item = button.closest("[data-run-number]");
    const number = Number(item.dataset.runNumber);
    const actions = {
      insert: () => this.handlers.insert(`[run ${number}]`),
      open: () => this.open(item.dataset.runLab, String(number)),
      pin: () => this.#pin(number, { pinned: item.dataset.pinned !== "1" }),
    };
    actions[button.dataset.runAction]();
  }

  pinLast() {
    if (this.number) this.#pin(this.number, { pinned: true });
  }

  #label(input) {
    this.#pin(Number(input.closest("[data-run-number]").dataset.runNumber), { label: input.value });
  }

  async #pin(number, body) {
    const words = this.root.querySelector("[data-part=run-words]");
    try {
      await send(`${this.config.base}runs/${number}`, { body });
      await this.refreshRuns();
      words.textContent = "pinned" in body ? `Run ${number} ${body.pinned ? "is pinned" : "is no longer pinned"}.` : `Run ${number} is labelled.`;
    } catch (refusal) {
      words.textContent = refusal.message;
      this.handlers.announce(refusal.message);
    }
  }
}

/** What is fixed in a form, and by which event, as it is read. */
function fixedIn(params) {
  return [...params.querySelectorAll(".notice, .locked")].map((node) => node.textContent).join();
}

function addStylesheet(href) {
  if (document.querySelector(`link[href="${CSS.escape(href)}"]`)) return;
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href });
  document.head.append(link);
}
