// Following one interview: when something happens in it, what stands on the page is fetched and the pieces that changed are put in.

import { oneAtATime } from "../newest.js";
import { Feed, read, STATE_WORDS } from "./feed.js";
import { tick } from "./live-time.js";

const GATHER_MS = 600;

class Follow {
  constructor(root) {
    this.root = root;
    this.place = root.querySelector("[data-place=work]");
    tick(root);
    setInterval(() => tick(root), 1000);
    this.feed = new Feed({
      url: root.dataset.stream,
      kinds: ["news", "beat", "over"],
      onEvent: (kind) => kind === "news" && this.#soon(),
      poll: () => this.#fetch(),
      onState: (state) => (root.querySelector("[data-part=status-words]").textContent = STATE_WORDS[state]),
    });
  }

  #soon() {
    this.waiting ??= setTimeout(() => {
      this.waiting = null;
      this.#fetch().catch(() => {}); // the next event or poll brings it
    }, GATHER_MS);
  }

  #fetch = oneAtATime(async () => {
    const made = document.createElement("template");
    made.innerHTML = await (await read(this.root.dataset.work)).text();
    const pieces = (within) => [...within.querySelectorAll("[data-piece]")].map((piece) => piece.dataset.piece).join();
    if (pieces(made.content) !== pieces(this.place)) this.place.replaceChildren(made.content);
    else for (const fresh of made.content.querySelectorAll("[data-piece]")) this.#put(fresh);
    tick(this.root);
  });

  /** A piece that looks the same stays: what is selected or scrolled in it is not lost. */
  #put(fresh) {
    const old = this.place.querySelector(`[data-piece="${fresh.dataset.piece}"]`);
    if (old.dataset.was !== fresh.innerHTML) old.replaceChildren(...fresh.cloneNode(true).childNodes);
    old.dataset.was = fresh.innerHTML;
    old.className = fresh.className;
  }
}

for (const root of document.querySelectorAll("[data-follow]")) root.follow = new Follow(root);
