// The lab page: ties the form, the run, the figures and the panels together.

import { DataPanel } from "./data.js";
import { FigureBoard } from "./figures.js";
import { ParamForm } from "./form.js";
import { fillSlots, jsonPart } from "./fragments.js";
import { post } from "./http.js";
import { placePopovers } from "./help.js";
import { listenForKeys } from "./keys.js";
import { TradeoffMap } from "./map.js";
import { Runner } from "./runner.js";
import { StatusLine } from "./status.js";
import { SweepPanel } from "./sweep.js";

const ADDRESS_DELAY_MS = 250; // browsers refuse more than about a hundred address changes in half a minute
const TYPING_DELAY_MS = 250;
const SMALL_SCREEN = window.matchMedia("(max-width: 60rem)"); // as in lab.css

class LabPage {
  constructor(root) {
    this.root = root;
    this.run = root.dataset.run || "";
    this.slot = randomId();
    this.board = new FigureBoard(root.querySelector("[data-place=figures]"), { plotlyUrl: root.dataset.plotly });
    this.status = new StatusLine(root.querySelector("[data-status]"));
    this.form = new ParamForm(root.querySelector("form[data-lab-form]"), (kind) => this.#tweaked(kind));
    this.runner = new Runner({ url: root.dataset.startUrl, request: (options) => this.#body(options), handlers: this.#handlers() });
    this.map = new TradeoffMap(root.querySelector("[data-map]"), root.dataset);
    this.sweep = panel(root, "[data-sweep]", SweepPanel, { entries: () => this.#entries(), onEnd: () => this.map.refresh() });
    this.data = panel(root, "[data-own-data]", DataPanel, { onChoice: () => this.#tweaked("settled") });
    this.#listen();
    this.#markPreset();
    this.#open();
    if (SMALL_SCREEN.matches && !root.querySelector("[aria-invalid=true]")) root.querySelector("[data-params]").open = false; // the picture first
  }

  /** A kept run shows its result, one under way is followed, and a fresh page runs. Values the server refused wait for the user. */
  #open() {
    const figures = jsonPart(this.root, "figures");
    const kept = this.root.querySelector("template[data-result]");
    if (kept) fillSlots(this.root, kept.innerHTML);
    this.map.refresh();
    if (figures) this.#saved(figures);
    else if (this.root.dataset.eventsUrl) this.runner.resume(this.root.dataset.eventsUrl);
    else if (this.root.dataset.error) this.status.trouble("", this.root.dataset.error);
    else if (!this.root.querySelector("[aria-invalid=true]")) this.runner.now();
    else this.status.trouble("invalid", "One value cannot be used; the reason stands beside it.");
  }

  #saved(figures) {
    this.board.settle(figures);
    this.status.done("Saved result");
  }

  #listen() {
    const actions = {
      run: () => this.runner.now(),
      fresh: () => this.runner.now({ fresh: true }),
      cancel: () => this.#cancel(),
      pin: () => this.#pin(this.run),
      unpin: () => this.#pin(""),
      reset: () => this.#apply({}),
      preset: (button) => this.#apply(JSON.parse(button.dataset.values)),
      "new-seed": () => this.#newSeed(),
      "copy-link": (button) => copyLink(button, new URL(this.#address(), location.href).href),
      sweep: () => this.sweep.open(),
    };
    this.root.addEventListener("click", (event) => {
      const button = event.target.closest("[data-action]");
      if (!button || !(button.dataset.action in actions)) return;
      event.preventDefault();
      actions[button.dataset.action](button);
    });
    this.root.addEventListener("change", (event) => event.target.name === "seed" && this.#tweaked("settled"));
    window.addEventListener("online", () => this.status.kind === "offline" && this.runner.now());
    listenForKeys({ r: actions.run, ".": actions.cancel, b: actions.pin });
    placePopovers(this.root);
  }

  // --- from the form to the run ------------------------------------------------------------------------------------------

  #entries() {
    const extra = [["seed", this.#seed()], ["dataset", this.data?.chosen ?? ""]];
    return [...this.form.entries(), ...extra.filter(([, value]) => value !== "")];
  }

  #body({ fresh = false } = {}) {
    return new URLSearchParams([...this.#entries(), ["slot", this.slot], ...(fresh ? [["fresh", "1"]] : [])]);
  }

  #seed() {
    return this.root.querySelector("[name=seed]")?.value.trim() ?? "";
  }

  #newSeed() {
    this.root.querySelector("[name=seed]").value = String(Math.floor(Math.random() * 2 ** 31));
    this.#tweaked("settled");
  }

  #apply(values) {
    this.form.apply(values);
    this.#tweaked("settled");
  }

  #tweaked(kind) {
    this.runner.soon({ delay: kind === "typing" ? TYPING_DELAY_MS : 0 });
    this.#markPreset();
    clearTimeout(this.addressTimer);
    this.addressTimer = setTimeout(() => history.replaceState(null, "", this.#address()), ADDRESS_DELAY_MS);
  }

  /** The address that opens the same picture. */
  #address() {
    const seed = this.#seed();
    const extra = [["seed", seed === "0" ? "" : seed], ["dataset", this.data?.chosen ?? ""]].filter(([, value]) => value);
    const query = new URLSearchParams([...this.form.changedEntries(), ...extra]).toString();
    return query ? `${this.root.dataset.labUrl}?${query}` : this.root.dataset.labUrl;
  }

  #markPreset() {
    for (const button of this.root.querySelectorAll("[data-action=preset]")) {
      const chosen = this.form.matches(JSON.parse(button.dataset.values));
      if (chosen) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      if (chosen) this.root.querySelector("p[data-story]").textContent = button.dataset.story;
    }
  }

  // --- from the run to the page --------------------------------------------------------------------------------------------

  #handlers() {
    return {
      begin: () => this.#begin(),
      event: (kind, data) => this.#event(kind, data),
      refused: (refusal) => this.#refused(refusal),
    };
  }

  #begin() {
    this.startedAt = performance.now();
    this.form.clearErrors();
    this.root.querySelector("[data-kept-notice]")?.remove();
    this.#stale(true);
    this.status.begin();
  }

  #event(kind, data) {
    if (kind === "frame") this.#frame(data);
    else if (kind === "progress") this.status.progress(data);
    else if (kind === "waiting") this.status.waiting(data.label);
    else if (kind === "started") this.status.started();
    else if (kind === "done") this.#done(data);
    else if (kind !== "queued") this.#ended(kind, data.message);
  }

  #frame({ figures, html }) {
    this.board.show(figures);
    fillSlots(this.root, html);
    this.#stale(false);
  }

  #done({ run, figures, html, cached }) {
    this.run = run;
    this.root.dataset.run = run;
    this.board.settle(figures);
    fillSlots(this.root, html);
    this.#stale(false);
    const took = ((performance.now() - this.startedAt) / 1000).toFixed(2);
    this.status.done(cached ? "Known result: nothing had to run" : `Done in ${took} s`);
    this.map.refresh();
  }

  #ended(kind, message) {
    this.#stale(false);
    this.status.trouble(kind, message);
  }

  #refused({ kind, message, errors }) {
    this.#stale(false);
    const homeless = this.form.showErrors(errors);
    const beside = kind === "invalid" && !homeless.length;
    this.status.trouble(kind, beside ? "One value cannot be used; the reason stands beside it." : message);
  }

  #stale(value) {
    this.board.stale = value;
    for (const name of ["tiles", "comparison"]) this.root.querySelector(`[data-place=${name}]`).classList.toggle("is-stale", value);
  }

  async #cancel() {
    const url = this.runner.cancelUrl;
    if (!this.runner.busy) return;
    if (url) await post(url, new URLSearchParams()).catch((refusal) => this.status.trouble(refusal.kind, refusal.message));
    else {
      this.runner.stop();
      this.#ended("cancelled", "Cancelled.");
    }
  }

  async #pin(run) {
    if (!run && !this.run) return;
    const body = new URLSearchParams({ run, shown: this.run });
    try {
      const response = await post(this.root.dataset.baselineUrl, body);
      fillSlots(this.root, await response.text());
      this.status.done(run ? "Pinned: the next runs are compared with this one" : "Baseline unpinned");
    } catch (refusal) {
      this.status.trouble(refusal.kind, refusal.message);
    }
  }
}

/** A panel that not every lab has. */
function panel(root, selector, Panel, options) {
  const node = root.querySelector(selector);
  return node && new Panel(node, { ...root.dataset, ...options });
}

async function copyLink(button, link) {
  const words = button.querySelector("[data-part=words]") ?? button;
  const before = words.textContent;
  const copied = await navigator.clipboard?.writeText(link).then(() => true, () => false);
  words.textContent = copied ? "Copied" : "Copy it from the address bar";
  setTimeout(() => {
    words.textContent = before;
  }, 2000);
}

function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

for (const root of document.querySelectorAll("[data-lab]")) root.lab = new LabPage(root);
