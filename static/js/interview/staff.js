// What the room has to do with those who watch it: the sign that somebody does, and a raised hand.

import { send } from "./http.js";

export class Staff {
  /** say(sentence): shows why the hand could not be raised */
  constructor(root, base, say) {
    Object.assign(this, { base, say });
    this.present = root.querySelector("[data-part=present]");
    this.hand = root.querySelector("[data-action=hand]");
  }

  news(kind, data) {
    if (kind === "presence") this.present.hidden = !data.present;
    if (kind === "hand") this.#shown(data.raised);
  }

  async toggleHand() {
    const raised = this.hand.getAttribute("aria-pressed") !== "true";
    try {
      await send(`${this.base}hand`, { body: { raised } });
      this.#shown(raised);
    } catch (refusal) {
      this.say(refusal.message);
    }
  }

  #shown(raised) {
    this.hand?.setAttribute("aria-pressed", String(raised));
  }
}
