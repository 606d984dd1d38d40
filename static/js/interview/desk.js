// The candidate's fields on the page: texts and rows as they stand, what saving says of them, and the banners that follow from it.

import { showConflict } from "./conflict.js";
import { Lease } from "./lease.js";
import { Writing } from "./save.js";

const timeOf = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const TOO_LATE = "Your last change came after this phase was over. It is in the history and is not graded.";
const WHY = { unreachable: "the site does not answer", busy: "the site is busy", signed_out: "the site no longer knows this page; reload it" };

export class Desk {
  /**
   * handlers: onText(field, content)       put this text into its control
   *           onTextState(field, {readOnly, error})
   *           onRow(list)                  rows of a list have changed
   *           onRowRefused(list, key, errors)
   *           onSaved(field), onClock(block, sentAt), onClosed(), onReached(yes), banner(name, shown, words)
   */
  constructor(room, config, handlers) {
    Object.assign(this, { room, config, handlers });
    this.contents = new Map(Object.entries(config.fields).map(([field, start]) => [field, start.content]));
    this.mark = room.querySelector("[data-part=save-mark]");
    this.lastSaved = Math.max(0, ...Object.values(config.fields).map((start) => Date.parse(start.saved_at) || 0));
    this.lease = new Lease({ url: `${config.base}lease`, heartbeatUrl: `${config.base}lease/heartbeat`, onChange: (change) => this.#leased(change) });
    this.writing = new Writing({
      attempt: config.attempt,
      answersUrl: `${config.base}answers/`,
      fields: config.fields,
      lease: this.lease,
      phasesOf: (field) => this.#phasesOf(field),
      on: (type, detail) => this.#heard(type, detail),
    });
    this.#markSaved();
    this.lease.take();
  }

  /** A text belongs to its phase, a row to the phases that have one of its list's topics. */
  #phasesOf(field) {
    const [kind, name] = field.split("/");
    if (kind === "text") return [name];
    const tags = this.config.lists[name]?.tags ?? [];
    return this.config.phases.filter((phase) => phase.tags.some((tag) => tags.includes(tag))).map((phase) => phase.key);
  }

  // --- for the controls ------------------------------------------------------------------------------------------------------

  text(field) {
    return this.contents.get(field) ?? "";
  }

  entries() {
    return [...this.contents];
  }

  typed(field, content) {
    this.typedAt = performance.now();
    this.contents.set(field, content);
    this.writing.typed(field, content);
  }

  /** A whole row at once: it is sent right away. */
  set(field, content) {
    this.typed(field, content);
    this.writing.save(field);
  }

  onRows(handler) {
    this.handlers.onRow = handler;
  }

  save(field) {
    return this.writing.save(field);
  }

  flush() {
    return this.writing.flush();
  }

  /** Unsaved text that its writer gives up: the server keeps it in the history, then the field shows what was saved. */
  async dropUnsaved() {
    if (await this.writing.giveUp()) this.#markSaved();
    else this.handlers.banner("said", true, "The site does not answer, so not all of it was dropped.");
  }

  get idleMs() {
    return this.typedAt === undefined ? null : Math.round(performance.now() - this.typedAt);
  }

  get held() {
    return this.lease.held;
  }

  takeOver() {
    return this.lease.take(true);
  }

  // --- what saving says --------------------------------------------------------------------------------------------------------

  #heard(type, detail) {
    const heard = {
      dirty: () => this.#showMark("saving", "busy"),
      saved: () => this.#saved(detail),
      failed: () => this.#failed(detail),
      reached: () => this.handlers.onReached(true),
      conflict: () => this.#conflict(detail),
      kept: () => this.#kept(detail),
      show: () => this.#show(detail),
      refused: () => this.#refused(detail),
      readonly: () => this.#readOnly(detail),
      writable: () => this.#textState(detail.field, { readOnly: false }),
      closed: () => this.handlers.onClosed(detail),
      storage: () => this.handlers.banner("storage", true),
      clock: () => this.handlers.onClock(detail.clock, detail.sentAt),
    }[type];
    heard?.();
  }

  #saved({ field, at }) {
    this.lastSaved = Date.parse(at);
    this.#textState(field, { error: "" });
    const left = this.writing?.dirty.length ?? 0;
    this.#showMark(left ? "saving" : `saved ${timeOf(this.lastSaved)}`, left ? "busy" : "good");
    this.handlers.onSaved(field);
  }

  #failed({ why }) {
    if (why === "drop") return;
    this.handlers.onReached(false);
    this.#showMark(`not saved: ${WHY[why]}`, "bad");
  }

  #refused({ field, message, errors }) {
    this.#showMark("not saved", "bad");
    const [kind, list, key] = field.split("/");
    if (kind === "row") this.handlers.onRowRefused(list, key, Object.keys(errors).length ? errors : { "": message });
    else this.#textState(field, { error: message });
  }

  #show({ field, content }) {
    this.contents.set(field, content);
    if (field.startsWith("row/")) this.handlers.onRow(field.split("/")[1]);
    else this.handlers.onText(field, content ?? "");
  }

  #textState(field, state) {
    if (field.startsWith("text/")) this.handlers.onTextState(field, state);
  }

  /** A text that came too late for its phase says so; it does not keep the others from being saved. */
  #readOnly({ field, code }) {
    this.#textState(field, code === "phase_frozen" ? { readOnly: true, error: TOO_LATE } : { readOnly: true });
    if (code === "phase_frozen" && !this.writing.dirty.length) this.#markSaved();
  }

  #conflict({ field, mine, theirs, at, label }) {
    this.#textState(field, { readOnly: true });
    this.#showMark("not saved: choose a version", "bad");
    const choose = async (which) => {
      const done = await this.writing.choose(field, which);
      if (done) this.#textState(field, { readOnly: false });
      return done;
    };
    showConflict(this.#placeOf(field), { field, mine, theirs, at, label, describe: describe(field), choose });
  }

  /** Text an earlier page could not save: taken, looked at, or put away; never without a word. */
  #kept({ field, content, at }) {
    const panel = document.createElement("div");
    panel.className = "notice is-warning";
    panel.setAttribute("role", "status");
    const words = document.createElement("p");
    words.textContent = `Unsaved ${field.startsWith("row/") ? "row" : "text"} from ${timeOf(at)} is on this device.`;
    const looked = document.createElement("pre");
    looked.tabIndex = 0;
    looked.hidden = true;
    looked.textContent = describe(field)(content) || "(deleted)";
    const row = document.createElement("p");
    row.className = "row";
    const act = (text, what) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "button", textContent: text });
      button.addEventListener("click", what);
      row.append(button);
    };
    act("Restore", async () => (await this.writing.restoreLeft(field)) && panel.remove());
    act("View", () => (looked.hidden = !looked.hidden));
    act("Discard", async () => (await this.writing.discardLeft(field)) && panel.remove());
    panel.append(words, looked, row);
    this.#placeOf(field).append(panel);
  }

  #placeOf(field) {
    const [kind, list] = field.split("/");
    const holder = kind === "text" ? `[data-field="${CSS.escape(field)}"]` : `[data-list="${CSS.escape(list)}"]`;
    return this.room.querySelector(`${holder} [data-place=conflict]`);
  }

  #leased({ held, label }) {
    this.handlers.banner("lease", !held, label ? ` (${label})` : "");
    this.handlers.onLease(held);
  }

  #markSaved() {
    this.#showMark(this.lastSaved ? `saved ${timeOf(this.lastSaved)}` : "saved as you type", "");
  }

  #showMark(words, kind) {
    if (this.mark.textContent === words) return;
    Object.assign(this.mark, { textContent: words }).dataset.kind = kind;
  }
}

/** How a version reads: a row as its filled cells, one a line. */
function describe(field) {
  if (field.startsWith("text/")) return (content) => content ?? "";
  return (content) => {
    if (content === null) return "";
    const cells = Object.entries(JSON.parse(content)).filter(([name, value]) => name !== "order" && !["", null, false].includes(value));
    return cells.map(([name, value]) => `${name.replaceAll("_", " ")}: ${value}`).join("\n");
  };
}
