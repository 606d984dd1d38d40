// The text of each phase: typing, preview, history, marking a claim, putting a run's name in.

import { fragment, send } from "./http.js";

const timeOf = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const KINDS = { save: "", conflict: "lost to another version", dropped: "decided against", late: "after the end", restore: "restored" };

export class Editor {
  constructor(root, desk, { base, onClaim }) {
    Object.assign(this, { root, desk, base, onClaim, field: root.dataset.field });
    this.area = root.querySelector("textarea");
    this.part = (name) => root.querySelector(`[data-part=${name}]`);
    this.blocked = false;
    this.area.value = desk.text(this.field);
    this.area.addEventListener("input", () => this.#typed());
    this.area.addEventListener("blur", () => desk.save(this.field));
    root.addEventListener("click", (event) => this.#pressed(event.target.closest("[data-action]")));
    this.#count();
  }

  #typed() {
    this.desk.typed(this.field, this.area.value);
    this.#count();
  }

  #count() {
    const words = this.area.value.split(/\s+/).filter(Boolean).length;
    this.part("words").textContent = `${words} ${words === 1 ? "word" : "words"}`;
  }

  /** Text from elsewhere; the caret stays where it can. */
  show(content) {
    const { selectionStart, selectionEnd } = this.area;
    this.area.value = content;
    if (document.activeElement === this.area) this.area.setSelectionRange(selectionStart, selectionEnd);
    this.#count();
  }

  state({ readOnly, error }) {
    if (readOnly !== undefined) this.blocked = readOnly;
    this.#lock();
    if (error === undefined) return;
    Object.assign(this.part("error"), { textContent: error, hidden: !error });
    this.area.toggleAttribute("aria-invalid", Boolean(error));
  }

  frozen(value) {
    this.isFrozen = value;
    this.#lock();
  }

  #lock() {
    this.area.readOnly = this.blocked || Boolean(this.isFrozen);
    this.root.classList.toggle("is-read-only", this.area.readOnly);
  }

  insert(text) {
    if (this.area.readOnly) return;
    const { selectionStart: at, selectionEnd: end, value } = this.area;
    const gap = at > 0 && !/\s$/.test(value.slice(0, at)) ? " " : "";
    this.area.setRangeText(gap + text, at, end, "end");
    this.#typed();
    this.area.focus();
  }

  #pressed(button) {
    const actions = { preview: () => this.#preview(button), history: () => this.#history(button), claim: () => this.#claim() };
    actions[button?.dataset.action]?.();
  }

  /** The marked words, or the sentence the caret stands in. */
  #claim() {
    const { value } = this.area;
    let { selectionStart: start, selectionEnd: end } = this.area;
    if (start === end) {
      start = Math.max(value.lastIndexOf(". ", start - 1) + 2, value.lastIndexOf("\n", start - 1) + 1, 0);
      if (start === 1) start = 0;
      const stops = [value.indexOf(". ", start), value.indexOf("\n", start)].filter((at) => at >= 0);
      end = stops.length ? Math.min(...stops) : value.length;
    }
    this.onClaim({ field: this.field, quote: value.slice(start, end), start, end });
  }

  async #preview(button) {
    const shown = !this.part("preview").hidden;
    button.setAttribute("aria-pressed", String(!shown));
    this.part("preview").hidden = shown;
    this.area.hidden = !shown;
    if (shown) return this.area.focus();
    this.part("preview").textContent = "";
    try {
      this.part("preview").innerHTML = await fragment(`${this.base}preview`, { method: "POST", body: new URLSearchParams({ text: this.area.value }) });
    } catch (refusal) {
      this.part("preview").textContent = refusal.message;
    }
  }

  // --- history -----------------------------------------------------------------------------------------------------------------

  async #history(button) {
    const place = this.root.querySelector("[data-place=history]");
    const open = place.hidden;
    button.setAttribute("aria-expanded", String(open));
    place.hidden = !open;
    if (!open) return;
    place.textContent = "Loading";
    try {
      const { versions } = await (await send(`${this.base}answers/${this.field}/history`, { method: "GET" })).json();
      place.replaceChildren(...this.#lines(versions));
    } catch (refusal) {
      place.textContent = refusal.message;
    }
  }

  #lines(versions) {
    if (!versions.length) return [make("p", { className: "muted small", textContent: "Nothing was saved yet." })];
    const list = make("ul", { className: "history-list" });
    for (const version of versions) {
      const line = make("li");
      const words = [timeOf(version.at), `${version.characters ?? 0} characters`, KINDS[version.kind] ?? version.kind].filter(Boolean).join(" · ");
      const view = make("button", { type: "button", className: "button is-quiet", textContent: "View" });
      view.setAttribute("aria-expanded", "false");
      view.addEventListener("click", () => this.#view(line, view, version));
      line.append(make("span", { className: "small num", textContent: words }), view);
      list.append(line);
    }
    return [list];
  }

  async #view(line, view, version) {
    const before = line.querySelector(".history-text");
    view.setAttribute("aria-expanded", String(!before));
    if (before) return before.remove();
    const box = make("div", { className: "history-text" });
    line.append(box);
    try {
      const { content } = await (await send(`${this.base}answers/${this.field}/history/${version.id}`, { method: "GET" })).json();
      const restore = make("button", { type: "button", className: "button", textContent: "Restore this version", disabled: this.area.readOnly });
      restore.addEventListener("click", async () => {
        if (await this.desk.writing.restore(this.field, version.id)) this.area.focus();
      });
      box.append(make("pre", { textContent: content ?? "", tabIndex: 0 }), restore);
    } catch (refusal) {
      box.textContent = refusal.message;
    }
  }
}

function make(name, properties = {}) {
  return Object.assign(document.createElement(name), properties);
}
