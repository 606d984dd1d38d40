// The conversation with the interviewer: asking, assumptions, reading the constraints back, and what comes unasked.

import { oneAtATime } from "../newest.js";
import { fragment, send } from "./http.js";

export class Talk {
  /** handlers: addRow(list, cells), news(), focusText(text) */
  constructor(root, config, handlers) {
    Object.assign(this, { root, config, handlers, lastSeq: config.lastSeq });
    this.feed = root.querySelector("[data-place=feed]");
    this.form = root.querySelector("[data-ask]");
    this.heard = root.querySelector("[data-part=heard]");
    this.error = root.querySelector("[data-part=error]");
    this.dialog = document.querySelector("[data-dialog=assume]");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask();
    });
    root.addEventListener("click", (event) => this.#pressed(event.target.closest("[data-action]")));
    this.dialog.addEventListener("close", () => this.#assumed());
    for (const control of this.form.elements) control.disabled = false; // before this module nobody would have heard
    this.#toEnd();
  }

  ask() {
    this.form.elements.text.focus();
  }

  /** What was said since. */
  refresh = oneAtATime(() => fragment(`${this.config.base}feed?after=${this.lastSeq}`).then((html) => this.#add(html), () => {}));

  /** The box is free at once for the next question; one that could not be asked comes back into it. */
  async #ask() {
    const box = this.form.elements.text;
    const text = box.value.trim();
    box.focus();
    if (!text) return;
    box.value = "";
    if (!(await this.#say("ask", { text })) && !box.value) box.value = text;
  }

  /** One after the other, so that the conversation keeps its order. */
  #say(path, body) {
    this.turn = (this.turn ?? Promise.resolve()).then(() => this.#send(path, body));
    return this.turn;
  }

  async #send(path, body) {
    this.#fail("");
    try {
      const response = await send(`${this.config.base}${path}`, { body: { ...body, after: this.lastSeq } });
      this.#add(await response.text());
      return true;
    } catch (refusal) {
      this.#fail(refusal.message);
      return false;
    }
  }

  #fail(sentence) {
    Object.assign(this.error, { textContent: sentence, hidden: !sentence });
  }

  #pressed(button) {
    const actions = {
      assume: () => this.#assume(button.dataset.question),
      "note-row": () => this.#note(button),
      "confirm-constraints": () => this.#say("confirm", {}),
    };
    actions[button?.dataset.action]?.();
  }

  #note(button) {
    const row = JSON.parse(button.dataset.row);
    this.handlers.addRow("constraints", row);
    button.replaceWith(Object.assign(document.createElement("span"), { className: "small muted", textContent: "In your constraints." }));
    this.heard.textContent = `Added to the constraints: ${row.name}.`;
  }

  #assume(question) {
    const form = this.dialog.querySelector("form");
    form.reset();
    form.elements.name.value = question;
    this.dialog.returnValue = "";
    this.dialog.showModal();
    form.elements.value.focus();
  }

  #assumed() {
    if (this.dialog.returnValue !== "assume") return;
    const { name, value, unit } = this.dialog.querySelector("form").elements;
    const row = { name: name.value.trim(), value: value.value.trim(), unit: unit.value.trim() };
    this.handlers.addRow("constraints", { ...row, source: "assumed" });
    this.#say("assume", row);
  }

  /** Adds lines that are not there yet; the newest that the interviewer said is read aloud. */
  #add(html) {
    const made = document.createElement("template");
    made.innerHTML = html;
    const fresh = [...made.content.querySelectorAll("[data-seq]")].filter((item) => Number(item.dataset.seq) > this.lastSeq);
    if (!fresh.length) return;
    this.feed.append(...fresh);
    this.lastSeq = Math.max(this.lastSeq, ...fresh.map((item) => Number(item.dataset.seq)));
    for (const item of fresh) if (item.dataset.kind === "focus") this.handlers.focusText(item.querySelector("p").textContent);
    const said = fresh.filter((item) => item.classList.contains("is-interviewer"));
    if (said.length) this.heard.textContent = `The interviewer: ${[...said.at(-1).querySelectorAll("p")].map((line) => line.textContent).join(" ")}`;
    this.handlers.news();
    this.#toEnd();
  }

  #toEnd() {
    this.feed.scrollTop = this.feed.scrollHeight;
  }
}
