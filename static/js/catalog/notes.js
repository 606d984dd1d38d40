// Notes that save themselves. What the server has not confirmed also stands in this browser's storage, and comes back from there.

import { letFormsWait, post, send } from "./post.js";

const SAVE_AFTER_MS = 800;
const RETRY_MS = [2_000, 4_000, 8_000, 15_000];
const timeOf = (date) => date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

/** A name for this tab, kept over reloads. */
function tabName() {
  try {
    const kept = sessionStorage.getItem("tab") ?? [...crypto.getRandomValues(new Uint32Array(3))].map((part) => part.toString(36)).join("");
    sessionStorage.setItem("tab", kept);
    return kept;
  } catch {
    return "";
  }
}

/** Unconfirmed text in localStorage. Before the first save a visitor has no number; what was written then stands under "visitor". */
class Mirror {
  constructor(key) {
    this.keys = [...new Set([key, key.replace(/^notes:[^:]+/, "notes:visitor")])];
  }

  read() {
    try {
      const texts = this.keys.map((key) => localStorage.getItem(key)).filter(Boolean);
      return texts.length ? JSON.parse(texts[0]) : null;
    } catch {
      return null;
    }
  }

  /** Whether it could be kept: private windows and full disks refuse. */
  write(text, revision) {
    try {
      localStorage.setItem(this.keys[0], JSON.stringify({ text, revision, at: Date.now() }));
      return true;
    } catch {
      return false;
    }
  }

  clear() {
    try {
      for (const key of this.keys) localStorage.removeItem(key);
    } catch {
      // there is nothing to remove where nothing may be stored
    }
  }
}

class Notes {
  constructor(form) {
    this.form = form;
    this.area = form.elements.text;
    this.revision = Number(form.elements.revision.value);
    this.savedText = this.area.value;
    this.limit = Number(form.dataset.limit);
    this.mirror = new Mirror(form.dataset.key);
    this.writer = tabName();
    this.failures = 0;
    this.part = (name) => form.querySelector(`[data-part=${name}]`);
    this.#listen();
    this.#localTime();
    this.#restore();
  }

  get dirty() {
    return this.area.value !== this.savedText;
  }

  #listen() {
    this.area.addEventListener("input", () => this.#typed());
    this.area.addEventListener("blur", () => this.save());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    this.form.addEventListener("click", (event) => this.#choose(event.target.closest("[data-choice]")?.dataset.choice));
    window.addEventListener("online", () => this.save());
    window.addEventListener("pagehide", () => this.#leave());
    document.addEventListener("visibilitychange", () => document.hidden && this.save());
    letFormsWait(() => (this.dirty && !this.conflict ? this.save() : this.saving));
  }

  #localTime() {
    const time = this.part("mark").querySelector("time");
    if (time) this.#mark(`Saved ${new Date(time.dateTime).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}`);
  }

  /** Text of an earlier visit that never reached the server. */
  #restore() {
    const kept = this.mirror.read();
    if (!kept || kept.text === this.area.value) return this.mirror.clear();
    this.area.value = kept.text;
    // Written on top of an older version: the server then sets it aside and answers with its own.
    this.revision = Math.min(this.revision, Math.max(0, kept.revision));
    this.#mark(`Restored from this device, written ${timeOf(new Date(kept.at))}`);
    this.save();
  }

  #typed() {
    this.kept = this.mirror.write(this.area.value, this.revision);
    this.#mark("Saving");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), SAVE_AFTER_MS);
  }

  /** `over` tells that the user saw the version of this revision and chose another text: the server then sets that one aside. */
  get #fields() {
    return { text: this.area.value, revision: this.revision, writer: this.writer, over: this.over ? "1" : "" };
  }

  /** Sends the text unless it is saved already; resolves when the server has answered or could not be reached. */
  save() {
    clearTimeout(this.timer);
    if (!this.dirty || this.conflict || this.saving) return this.saving;
    if (this.area.value.length > this.limit) return this.#tooLong();
    const fields = this.#fields;
    this.#mark("Saving");
    this.saving = post(this.form.action, fields)
      .then((response) => this.#answered(response, fields.text))
      .catch(() => this.#unreachable())
      .finally(() => {
        this.saving = undefined;
        if (this.dirty && !this.failures && !this.refused) this.timer = setTimeout(() => this.save(), SAVE_AFTER_MS);
      });
    return this.saving;
  }

  async #answered(response, text) {
    if (response.status === 409) {
      const theirs = await response.json();
      this.revision = theirs.revision;
      return this.#showConflict(this.area.value, theirs.text, theirs.saved_at);
    }
    if (response.status === 422) return this.#refuse(Object.values((await response.json()).errors).join(" "));
    if (response.status === 403) return this.#refuse("The site no longer knows this page. Reload it: what you wrote is kept on this device and comes back.");
    if (!response.ok) throw new Error(`status ${response.status}`);
    const { revision, saved_at: savedAt } = await response.json();
    Object.assign(this, { revision, savedText: text, failures: 0, over: false });
    this.#showError("");
    if (this.dirty) this.mirror.write(this.area.value, revision);
    else this.#saved(savedAt);
  }

  #saved(savedAt) {
    this.mirror.clear();
    this.#mark(`Saved ${timeOf(new Date(savedAt))}`, "good");
  }

  #unreachable() {
    const delay = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)];
    this.failures += 1;
    this.kept = this.mirror.write(this.area.value, this.revision);
    const why = navigator.onLine ? "the site does not answer" : "offline";
    this.#mark(this.kept ? `Not saved: ${why}, kept on this device` : `Not saved: ${why}, and this browser stores nothing. Copy your text.`, "bad");
    this.timer = setTimeout(() => this.save(), delay);
  }

  #refuse(sentence) {
    this.#showError(sentence);
    this.#mark("Not saved", "bad");
  }

  #tooLong() {
    const { length } = this.area.value;
    this.#refuse(`The notes have ${length.toLocaleString("en")} characters; a phase holds ${this.limit.toLocaleString("en")}. Shorten them to have them saved.`);
  }

  #showError(sentence) {
    this.refused = Boolean(sentence);
    Object.assign(this.part("error"), { textContent: sentence, hidden: !sentence });
    this.area.toggleAttribute("aria-invalid", Boolean(sentence));
  }

  #leave() {
    if (this.dirty && !this.conflict && this.area.value.length <= this.limit) send(this.form.action, this.#fields, true).catch(() => {});
  }

  // --- two versions ----------------------------------------------------------------------------------------------------

  #showConflict(mine, theirs, theirTime) {
    this.conflict = { mine, theirs };
    this.part("mine").textContent = mine;
    this.part("theirs").textContent = theirs;
    this.part("theirs-time").textContent = theirTime ? timeOf(new Date(theirTime)) : "";
    this.part("conflict").hidden = false;
    this.area.readOnly = true;
    this.mirror.write(mine, -1);
    this.#mark("Not saved: choose a version", "bad");
  }

  #choose(choice) {
    if (!choice) return;
    const { mine, theirs } = this.conflict;
    this.conflict = undefined;
    this.part("conflict").hidden = true;
    this.area.readOnly = false;
    this.savedText = theirs;
    this.over = choice === "mine";
    this.area.value = { mine, theirs, both: `${theirs.trimEnd()}\n\n${mine}` }[choice];
    this.area.focus();
    if (this.dirty) this.save();
    else this.#saved(Date.now());
  }

  #mark(text, kind = "") {
    Object.assign(this.part("mark"), { textContent: text }).dataset.kind = kind;
  }
}

new Notes(document.querySelector("[data-notes]"));
