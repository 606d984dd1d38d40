// The room of an interview: ties clock, text, lists, interviewer and tools together.

import { oneAtATime } from "../newest.js";
import { ClockView } from "./clock-view.js";
import { clockText } from "./clock.js";
import { Calculators } from "./calculators.js";
import { Claims } from "./claims.js";
import { Desk } from "./desk.js";
import { Editor } from "./editor.js";
import { fragment, send } from "./http.js";
import { listenForKeys } from "./room-keys.js";
import { Lists } from "./lists.js";
import { News } from "./news.js";
import { Staff } from "./staff.js";
import { Tabs } from "./tabs.js";
import { Talk } from "./talk.js";

const WAITING_MS = 2000; // between looks at the runs that an event has started

class Room {
  constructor(root) {
    this.root = root;
    this.config = JSON.parse(root.querySelector("[data-json=room] > script").textContent);
    this.panels = [...root.querySelectorAll("[data-panel]")];
    this.desk = new Desk(root, this.config, this.#deskHandlers());
    this.editors = new Map([...root.querySelectorAll("[data-editor]")].map((node) => [node.dataset.field, this.#editor(node)]));
    this.lists = new Lists(root, this.config, this.desk, () => this.labs?.runs ?? this.config.runs);
    this.desk.handlers.onRowRefused = (list, key, errors) => this.lists.refuse(list, key, errors);
    this.tabs = new Tabs(root, (name) => this.#opened(name));
    this.talk = new Talk(root.querySelector("#tool-talk"), this.config, this.#talkHandlers());
    this.calculators = new Calculators(root.querySelector("#tool-calculators"), this.config, (list, cells) => this.addRow(list, cells));
    this.claims = new Claims(root.querySelector("#tool-claims"), this.config, this.desk);
    this.clock = new ClockView(root, this.config, {
      idleMs: () => this.desk.idleMs,
      onState: (shown, before) => this.#stateChanged(shown, before),
      onReached: (yes) => this.#reached(yes),
      onSync: () => this.talk.refresh(),
    });
    this.staff = new Staff(root, this.config.base, (sentence) => this.#banner("said", true, sentence));
    this.news = new News(this.config, { onNews: (kind, data) => this.#news(kind, data), onBack: () => this.clock.sync() });
    if (this.desk.held) this.news.start();
    this.#listen();
    this.#measure("head");
    this.#measure("banners");
    this.#stateChanged(this.clock.shown);
    this.#showCurveball();
  }

  /** On a narrow screen head and banners stay at the top; what scrolls has to know how tall they are. */
  #measure(part) {
    const node = this.root.querySelector(`.room-${part}`);
    new ResizeObserver(() => this.root.style.setProperty(`--${part}-size`, `${node.offsetHeight}px`)).observe(node);
  }

  #editor(node) {
    return new Editor(node, this.desk, { base: this.config.base, onClaim: (span) => this.#claim(span) });
  }

  get phase() {
    return this.config.phases[this.viewed ?? 0];
  }

  // --- wiring ------------------------------------------------------------------------------------------------------------------

  #deskHandlers() {
    return {
      onText: (field, content) => this.editors?.get(field)?.show(content),
      onTextState: (field, state) => this.editors?.get(field)?.state(state),
      onRow: () => {},
      onRowRefused: () => {},
      onSaved: (field) => this.#saved(field),
      onClock: (block, sentAt) => this.clock?.take(block, sentAt),
      onClosed: ({ stored }) => this.#closed(stored),
      onReached: (yes) => this.#reached(yes),
      onLease: (held) => this.#leased(held),
      banner: (name, shown, words) => this.#banner(name, shown, words),
    };
  }

  #talkHandlers() {
    return {
      addRow: (list, cells) => this.addRow(list, cells),
      news: () => {
        this.tabs.news("talk");
        this.labs?.renewLocks();
      },
      focusText: (text) => {
        for (const place of this.root.querySelectorAll("[data-focus]")) Object.assign(place, { textContent: text, hidden: false });
      },
    };
  }

  #listen() {
    const actions = {
      ask: () => this.#tool("talk", () => this.talk.ask()),
      "hide-timer": () => this.clock.toggleHidden(),
      pause: () => this.#act("pause"),
      break: () => this.#act("pause", { kind: "break" }),
      resume: () => this.#act("resume"),
      submit: () => this.#askSubmit(),
      hand: () => this.staff.toggleHand(),
      "take-over": () => this.desk.takeOver(),
      "close-said": () => this.#banner("said", false),
      "closing-keep": () => this.desk.flush(),
      "closing-drop": () => this.#drop(),
    };
    this.root.addEventListener("click", (event) => {
      actions[event.target.closest("[data-action]")?.dataset.action]?.();
      const step = event.target.closest("[data-step]");
      if (step) this.go(Number(step.dataset.step));
      const lab = event.target.closest("[data-open-lab]");
      if (lab) this.#openLab(lab.dataset.openLab, lab.dataset.openRun ?? "");
    });
    listenForKeys({
      phase: (at) => this.go(at),
      ask: actions.ask,
      run: () => this.#tool("labs", () => this.labs?.run()),
      pin: () => this.labs?.pinLast(),
      save: () => this.desk.flush(),
    });
  }

  async #tool(name, then) {
    this.tabs.open(name);
    await this.loading;
    then();
  }

  async #openLab(lab, run) {
    this.tabs.open("labs", { focus: true });
    await this.loading;
    this.labs.open(lab, run);
  }

  addRow(list, cells) {
    this.lists.add(list, cells);
  }

  // --- tabs --------------------------------------------------------------------------------------------------------------------

  #opened(name) {
    if (name === "labs") this.loading ??= this.#loadLabs();
    if (name === "calculators") this.calculators.opened();
    if (name === "diagram") this.#diagram();
  }

  /** Figures, forms and their styles are fetched when they are first wanted. */
  async #loadLabs() {
    const { LabsTab } = await import("./labs-tab.js");
    this.labs = new LabsTab(this.root.querySelector("#tool-labs"), this.config, {
      insert: (text) => this.#insert(text),
      ran: () => this.#ran(),
      announce: (sentence) => this.clock.announce(sentence),
    });
  }

  #insert(text) {
    this.tabs.answer();
    this.editors.get(`text/${this.phase.key}`).insert(text);
  }

  #ran() {
    this.talk.refresh();
    this.#showCurveball();
  }

  #diagram = oneAtATime(async () => {
    const place = this.root.querySelector("[data-place=diagram]");
    const html = await fragment(`${this.config.base}diagram`).catch(() => null);
    if (html !== null) place.innerHTML = html;
  });

  #claim(span) {
    this.tabs.open("claims");
    this.desk.save(span.field).then(() => this.claims.begin(span));
  }

  #saved(field) {
    if (this.root.dataset.state === "closing") this.#closingWords();
    if (/^row\/(components|edges)\//.test(field) && this.tabs.current === "diagram") this.#diagram();
  }

  // --- phases --------------------------------------------------------------------------------------------------------------------

  /** On to a phase: the clock moves with it. In strict mode an earlier one is only read, and a later one asked about first. */
  go(to) {
    if (!this.config.phases[to]) return;
    const { phase, state } = this.clock.shown;
    if (to === phase || !this.desk.held || state === "paused" || (this.config.mode === "strict" && to < phase)) return this.#view(to, true);
    if (this.config.mode === "strict") return this.#askMove(to);
    this.#move(to);
  }

  #askMove(to) {
    const dialog = this.root.querySelector("[data-dialog=move]");
    dialog.returnValue = "";
    dialog.onclose = () => dialog.returnValue === "move" && this.#move(to);
    dialog.showModal();
  }

  async #move(to) {
    this.desk.flush();
    this.moving = true;
    if (await this.#act("move", { to })) this.#view(to, true);
    this.moving = false;
  }

  #view(at, focus = false) {
    this.viewed = at;
    for (const panel of this.panels) panel.hidden = Number(panel.dataset.panel) !== at;
    for (const step of this.root.querySelectorAll("[data-step]")) step.toggleAttribute("data-viewed", Number(step.dataset.step) === at);
    if (!focus) return;
    this.tabs.answer();
    this.panels[at].querySelector("h2").focus({ preventScroll: true });
    this.root.querySelector("[data-part=answer]").scrollTop = 0;
  }

  // --- what the server does ------------------------------------------------------------------------------------------------------

  /** pause, resume, move, submit; whether it was done. */
  async #act(name, body = {}) {
    const sentAt = performance.now();
    try {
      const { clock } = await (await send(`${this.config.base}${name}`, { body })).json();
      this.clock.take(clock, sentAt);
      this.desk.writing.clock(clock);
      return true;
    } catch (refusal) {
      this.clock.announce(refusal.message);
      this.#banner("said", true, refusal.message);
      this.clock.sync();
      return false;
    }
  }

  #askSubmit() {
    const dialog = this.root.querySelector("[data-dialog=submit]");
    const left = this.clock.shown.remainingMs;
    dialog.querySelector("[data-part=submit-words]").textContent = `It ends here and is graded${left ? `, with ${clockText(left)} left` : ""}. You cannot write in it afterwards.`;
    dialog.returnValue = "";
    dialog.onclose = () => dialog.returnValue === "submit" && this.#submit();
    dialog.showModal();
  }

  async #submit() {
    this.lists.take();
    if (!(await this.desk.flush())) {
      this.#banner("said", true, "Some of your text is not saved yet. Submit again when the save mark says so.");
      return;
    }
    if (await this.#act("submit")) location.assign(this.config.debrief);
  }

  /** When a line of the stream was sent nobody knows, so a clock that differs is asked for rather than believed. */
  #news(kind, data) {
    if (data.clock && this.clock.differs(data.clock)) this.clock.sync();
    if (["prompt", "curveball", "message", "closed"].includes(kind)) this.talk.refresh();
    this.staff.news(kind, data.data);
    if (kind === "curveball") this.#showCurveball();
    if (kind === "closed") this.#closed();
  }

  #reached(yes) {
    this.#banner("unreached", !yes);
  }

  #leased(held) {
    this.root.classList.toggle("is-reading", !held);
    if (held) this.news?.start();
    else this.news?.stop();
    this.#freeze();
  }

  // --- states --------------------------------------------------------------------------------------------------------------------

  #stateChanged(shown, before) {
    if (!this.clock) return; // the first clock comes while it is being made
    this.root.dataset.state = shown.state;
    if (shown.state === "closed") return this.#closed();
    const changed = before && before.phase !== shown.phase;
    if (this.viewed === undefined || (changed && !this.moving)) this.#view(shown.phase ?? 0);
    if (!before || changed) this.root.querySelector("[data-step][aria-current]").scrollIntoView({ block: "nearest", inline: "center" });
    if (changed) this.clock.announce(`Now: ${this.config.phases[shown.phase].title}.`);
    if (changed && this.config.mode === "strict") this.labs?.renewLocks();
    this.#paused(shown.state === "paused");
    this.#banner("overtime", shown.state === "overtime");
    this.#closing(shown.state === "closing");
    this.#freeze();
  }

  /** What may be written now: all in soft mode, in strict mode the phase one is in. */
  #freeze() {
    if (!this.clock) return;
    const { writable, state } = this.clock.shown;
    const writes = this.desk.held && state !== "paused";
    const open = new Set(writes && state !== "closing" ? writable : []);
    for (const panel of this.panels) {
      const frozen = !open.has(panel.dataset.key);
      this.editors.get(`text/${panel.dataset.key}`).frozen(frozen);
      panel.querySelector("[data-part=frozen]").hidden = !(frozen && writes && this.config.mode === "strict");
    }
    this.lists.frozen(open, writes);
  }

  #paused(value) {
    const panel = this.root.querySelector("[data-part=paused]");
    const was = !panel.hidden;
    panel.hidden = !value;
    this.root.querySelector("[data-part=body]").inert = value;
    this.root.querySelector("[data-part=body]").classList.toggle("is-hidden-text", value && this.config.hideText);
    this.root.querySelector(".room-tabs").inert = value;
    for (const name of ["pause", "break", "submit"]) this.root.querySelector(`[data-action=${name}]`)?.toggleAttribute("disabled", value);
    if (!value || was) return;
    panel.querySelector("[data-part=paused-words]").textContent = this.config.hideText
      ? "The clock stands. Your text is hidden until you resume, and labs do not run."
      : "The clock stands. Labs do not run until you resume.";
    panel.querySelector("[data-action=resume]").focus();
  }

  /** The last seconds: what is unsaved is kept by itself; only dropping needs a decision. */
  #closing(value) {
    this.#banner("closing", value);
    if (!value) return;
    for (const name of ["pause", "break"]) this.root.querySelector(`[data-action=${name}]`)?.setAttribute("disabled", "");
    this.#closingWords();
    this.desk.flush();
  }

  #closingWords() {
    const dirty = this.desk.writing.dirty.length;
    const words = dirty ? `Time is up. ${dirty} ${dirty === 1 ? "field has" : "fields have"} unsaved text: keep or drop? It is kept by itself.` : "Time is up. Everything you wrote is saved.";
    this.root.querySelector("[data-part=closing-words]").textContent = words;
    for (const name of ["closing-keep", "closing-drop"]) this.root.querySelector(`[data-action=${name}]`).hidden = dirty === 0;
  }

  async #drop() {
    await this.desk.dropUnsaved();
    this.#closingWords();
  }

  #closed(stored) {
    this.clock?.stop();
    this.news?.stop();
    this.root.dataset.state = "closed";
    for (const name of ["closing", "overtime", "unreached", "curveball", "said"]) this.#banner(name, false);
    this.root.querySelector("[data-part=closed-words]").textContent = stored === false ? ", and your last text came too late; it is kept on this device" : "";
    this.#banner("closed", true);
    this.#paused(false);
    for (const editor of this.editors.values()) editor.frozen(true);
    this.lists.frozen(new Set(), false);
    for (const button of this.root.querySelectorAll("[data-action=pause], [data-action=break], [data-action=submit]")) button.disabled = true;
  }

  #showCurveball = oneAtATime(async () => {
    const html = await fragment(`${this.config.base}curveball`).catch(() => null);
    if (html === null) return;
    const place = this.root.querySelector("[data-place=curveball]");
    const folded = place.querySelector("details:not([open])")?.dataset.key;
    place.innerHTML = html;
    const shown = place.querySelector("details");
    if (shown && shown.dataset.key === folded) shown.open = false;
    clearTimeout(this.curveballTimer);
    if (shown?.querySelector("[data-waiting]")) this.curveballTimer = setTimeout(() => this.#showCurveball(), WAITING_MS);
    this.#banner("curveball", html.trim() !== "");
  });

  #banner(name, shown, words) {
    const banner = this.root.querySelector(`[data-banner=${name}]`);
    banner.hidden = !shown;
    const place = banner.querySelector(`[data-part=${name}-label], [data-part=${name}-words]`);
    if (place && words !== undefined) place.textContent = words;
  }
}

for (const root of document.querySelectorAll("[data-room]")) root.room = new Room(root);
