// A stream of server-sent events that a page holds while somebody looks at it, and asks for instead where there is none.
//
//   new Feed({ url, kinds, onEvent(kind, data), poll(), onState(state) })
//     poll      asked every 5 s while no stream stands
//     onState   "live", "polling", "lost" (polling fails too), "asleep" (the tab has been in the background for a minute), "over"
//
// HTTP/1.1 allows about six connections a host, so a tab in the background gives its own back.

const POLL_MS = 5000;
const SILENT_MS = 40_000; // the server says something every 15 s
const ASLEEP_MS = 60_000;
const AGAIN_MS = 20_000;

export class Feed {
  constructor({ url, kinds, onEvent, poll, onState }) {
    Object.assign(this, { url, kinds, onEvent, poll, onState, heardAt: performance.now() });
    document.addEventListener("visibilitychange", () => this.#seen());
    window.addEventListener("online", () => this.#open());
    setInterval(() => this.#check(), POLL_MS);
    this.#open();
    if (document.hidden) this.#seen();
  }

  #open() {
    if (this.over || document.hidden) return;
    this.source?.close();
    this.openedAt = performance.now();
    const source = new EventSource(this.url);
    this.source = source;
    source.onopen = () => this.#heard();
    source.onerror = () => this.#poll();
    for (const kind of this.kinds) source.addEventListener(kind, (event) => this.#event(kind, event));
  }

  #heard() {
    this.heardAt = performance.now();
    this.#state("live");
  }

  #event(kind, event) {
    this.#heard();
    if (kind === "over") return this.#end();
    this.onEvent(kind, JSON.parse(event.data));
  }

  #end() {
    this.over = true;
    this.source?.close();
    this.#state("over");
  }

  #state(state) {
    if (state !== this.state) this.onState((this.state = state));
  }

  #seen() {
    clearTimeout(this.sleeping);
    if (document.hidden) this.sleeping = setTimeout(() => this.#sleep(), ASLEEP_MS);
    else if (!this.source) this.#open();
  }

  #sleep() {
    this.source?.close();
    this.source = null;
    this.#state("asleep");
  }

  /** A browser connects again by itself unless the answer was an error; then this does. */
  #check() {
    if (this.over || !this.source) return;
    const now = performance.now();
    const silent = now - this.heardAt > SILENT_MS || this.source.readyState !== EventSource.OPEN;
    if (!silent) return;
    this.#poll();
    if (now - this.openedAt > AGAIN_MS) this.#open();
  }

  async #poll() {
    if (this.polling || this.over) return;
    this.polling = true;
    const state = await this.poll().then(() => "polling", (status) => (status === 403 || status === 404 ? "over" : "lost"));
    this.polling = false;
    if (this.source?.readyState === EventSource.OPEN && performance.now() - this.heardAt < SILENT_MS) return;
    if (state === "over") this.#end();
    else this.#state(state);
  }
}

/** fetch; rejects with the status, 0 where the site does not answer. */
export async function read(url) {
  let response;
  try {
    response = await fetch(url, { redirect: "error" });
  } catch {
    throw 0;
  }
  if (!response.ok) throw response.status;
  return response;
}

export const STATE_WORDS = {
  live: "Live",
  polling: "Without a stream: asked every 5 seconds",
  lost: "The site does not answer. What stands here is from before.",
  asleep: "Paused while the tab was in the background",
  over: "You may not watch this any more. Reload the page.",
};
