// Which tab may write. The server gives a lease of 20 s; this renews it every 10 and tells the page when another tab has it.
//
//   const lease = new Lease({ url, heartbeatUrl, onChange });
//     onChange({held, label})   label: the device that writes instead
//   await lease.take()          when the page opens; take(true) is "take over here"
//   lease.onHeld                set by Writing: called each time the lease comes to this tab

import { csrfToken } from "../csrf.js";
import { newId } from "./mirror.js";

const HEARTBEAT_MS = 10_000;
const AGAIN_MS = 2_000;

/** A name of this tab, kept over reloads. A copy of the tab inherits it; the server tells the two apart by their epoch. */
function tabName() {
  try {
    const kept = sessionStorage.getItem("loop45:tab") ?? newId();
    sessionStorage.setItem("loop45:tab", kept);
    return kept;
  } catch {
    return newId();
  }
}

export class Lease {
  constructor({ url, heartbeatUrl, onChange }) {
    Object.assign(this, { url, heartbeatUrl, onChange });
    this.clientId = tabName();
    this.epoch = 0;
    this.held = false;
    this.onHeld = () => {};
    setInterval(() => this.held && this.#beat(), HEARTBEAT_MS);
    for (const name of ["online", "pageshow"]) window.addEventListener(name, (event) => (event.persisted ?? true) && this.held && this.#beat());
  }

  /** Whether this tab may write now. Asks again by itself while the site cannot be reached. */
  async take(takeOver = false) {
    const reply = await this.#ask(this.url, { take_over: takeOver });
    if (!reply) setTimeout(() => this.held || this.take(takeOver), AGAIN_MS);
    else this.#took(reply);
    return this.held;
  }

  /** A save was refused because another tab has the lease. */
  lost(label) {
    if (!this.held) return;
    this.held = false;
    this.onChange({ held: false, label });
  }

  /** A save was taken: the lease is ours, perhaps under a new epoch. */
  renewed(epoch) {
    if (this.held) this.epoch = Math.max(this.epoch, epoch); // a late answer knows only the lease of its time
  }

  async #beat() {
    const { epoch } = this;
    const reply = await this.#ask(this.heartbeatUrl, { lease_epoch: epoch });
    if (!reply || !this.held || this.epoch !== epoch) return; // no answer, or one about a lease of before: a save will tell
    if (reply.held) this.epoch = reply.lease_epoch;
    else this.lost(reply.label);
  }

  #took({ held, lease_epoch: epoch, label }) {
    this.held = held;
    if (held) this.epoch = epoch;
    this.onChange({ held, label });
    if (held) this.onHeld();
  }

  async #ask(url, values) {
    try {
      const headers = { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": csrfToken() };
      const body = JSON.stringify({ client_id: this.clientId, ...values });
      const response = await fetch(url, { method: "POST", headers, body, redirect: "error" });
      return response.ok ? await response.json() : null;
    } catch {
      return null;
    }
  }
}
