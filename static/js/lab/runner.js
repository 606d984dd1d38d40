// Which run the page is on: the newest tweak wins, but a run just begun is let show its first picture.

import { Refusal } from "./http.js";
import { followRun, startRun } from "./stream.js";

const EVERY_MS = 60; // between two starts while a slider moves
const FIRST_PICTURE_MS = 300; // how long a newer tweak waits for the picture of the one before

export class Runner {
  #timer = null;
  #current = null; // {controller, startedAt, shown, cancelUrl}
  #lastStart = 0;

  /** handlers: begin(), event(kind, data), refused(refusal). `request()` gives the body of the next start. */
  constructor({ url, request, handlers }) {
    this.url = url;
    this.request = request;
    this.handlers = handlers;
  }

  get cancelUrl() {
    return this.#current?.cancelUrl ?? "";
  }

  get busy() {
    return this.#current !== null || this.#timer !== null;
  }

  /** Asks for a run with the values of then; several calls before it begins make one run. */
  soon({ delay = 0 } = {}) {
    clearTimeout(this.#timer);
    const now = performance.now();
    const courtesy = this.#current && !this.#current.shown ? this.#current.startedAt + FIRST_PICTURE_MS - now : 0;
    const wait = Math.max(delay, this.#lastStart + EVERY_MS - now, courtesy, 0);
    this.#timer = setTimeout(() => this.now(), wait);
  }

  now(options = {}) {
    return this.#follow((context) => startRun(this.url, this.request(options), context));
  }

  resume(eventsUrl) {
    return this.#follow((context) => followRun(eventsUrl, context));
  }

  /** Stops following; the server notices that nobody watches. */
  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#current?.controller.abort();
    this.#current = null;
  }

  async #follow(open) {
    this.stop();
    this.#lastStart = performance.now();
    const current = { controller: new AbortController(), startedAt: this.#lastStart, shown: false, cancelUrl: "" };
    this.#current = current;
    this.handlers.begin();
    try {
      await open({ signal: current.controller.signal, onEvent: (kind, data) => this.#passOn(current, kind, data) });
    } catch (error) {
      if (error.name === "AbortError" || this.#current !== current) return;
      this.handlers.refused(error instanceof Refusal ? error : new Refusal("error", error.message));
    } finally {
      if (this.#current === current) this.#current = null;
    }
  }

  #passOn(current, kind, data) {
    if (this.#current !== current) return;
    current.cancelUrl = data.cancel_url || current.cancelUrl;
    if (kind === "frame" || kind === "done") this.#shown(current);
    this.handlers.event(kind, data);
  }

  /** The first picture is there: a tweak that waited for it goes ahead. */
  #shown(current) {
    if (current.shown) return;
    current.shown = true;
    if (this.#timer !== null) this.soon();
  }
}
