// The line that says what the run is doing, with its progress bar, its cancel button and its way out of trouble.

const PATIENCE_MS = 1000; // progress and cancel appear when a run takes longer

const WORDS = {
  failed: "The run failed.",
  lost: "The worker stopped before it finished.",
  expired: "No worker was free in time.",
  cancelled: "Cancelled.",
};

export class StatusLine {
  #timer = null;

  constructor(root) {
    this.root = root;
    const part = (name) => root.querySelector(`[data-part=${name}]`);
    this.text = part("text");
    this.live = part("live");
    this.bar = part("bar");
    this.cancel = part("cancel");
    this.again = part("again");
  }

  /** A run was sent off. For the first second nothing moves on the page. */
  begin() {
    clearTimeout(this.#timer);
    this.kind = "";
    this.#set("running", "Running", { quiet: true });
    this.again.hidden = true;
    this.bar.removeAttribute("value");
    this.#timer = setTimeout(() => {
      this.bar.hidden = false;
      this.cancel.hidden = false;
    }, PATIENCE_MS);
  }

  waiting(label) {
    if (label) this.#set("waiting", label);
  }

  /** A worker has taken the run that waited. */
  started() {
    if (this.root.dataset.state === "waiting") this.#set("running", "Running");
  }

  progress({ done, total, label }) {
    this.bar.value = total > 0 ? done / total : 0;
    this.#set("running", label ? `${label[0].toUpperCase()}${label.slice(1)}` : "Running", { quiet: true });
  }

  done(words) {
    this.#end("done", words);
  }

  /** Trouble in words, with a button to run again. kind is a Refusal's or the last event's. */
  trouble(kind, message) {
    this.kind = kind;
    this.#end(kind === "cancelled" ? "cancelled" : "trouble", message || WORDS[kind] || "The run did not finish.");
    this.again.hidden = kind === "invalid";
  }

  #end(state, words) {
    clearTimeout(this.#timer);
    this.bar.hidden = true;
    this.cancel.hidden = true;
    this.#set(state, words);
  }

  /** `quiet` words change too often to be read aloud. */
  #set(state, words, { quiet = false } = {}) {
    this.root.dataset.state = state;
    this.text.textContent = words;
    if (!quiet) this.live.textContent = words;
  }
}
