// Saving of an interview: every field of the page, the requests, and the page's own comings and goings.
//
//   const lease = new Lease({ url, heartbeatUrl, onChange });      lease.js
//   const writing = new Writing({ attempt, answersUrl, fields, lease, phasesOf, on });
//     attempt      id of the attempt: names the copies on this device
//     answersUrl   "/interviews/<id>/answers/"; a field is that and its name, "text/clarify" or "row/components/c1"
//     fields       { "text/clarify": {rev, content, saved_at, op_id}, ... } as `views.answers.fields_json` gives them
//     phasesOf     field => keys of the phases it is written in; for a text its own is the default
//     on           (type, detail) => {}, with detail.field (but for clock):
//       dirty      {}                              typed, not saved yet
//       saved      {at, rev, dirty}                confirmed; dirty: there is more by now
//       failed     {why}                           unreachable, busy, signed_out, drop: tried again by itself (drop: press again)
//       reached    {}                              the first answer after failures
//       conflict   {mine, theirs, at, label}       the control waits, read-only, for choose(field, "mine" | "theirs" | "both")
//       chosen     {which}                         and goes on
//       kept       {content, at}                   an earlier page left this text: restoreLeft(field), discardLeft(field) or nothing
//       show       {content}                       put this in the control (null: the row is gone)
//       refused    {message, errors}               too long, or a bad row; sent again when it has changed
//       readonly   {code, label}                   phase_frozen, paused, lease_lost, not_started; label: the device that writes
//       writable   {}                              that is over
//       closed     {stored}                        over; stored: kept as late text. Otherwise text(field) is there to be downloaded
//       storage    {}                              this device keeps no copies; saved every 3 s instead of 10
//       clock      {clock, sentAt}                 the clock block of a reply; sentAt as performance.now() at sending
//   writing.typed(field, content)   at every input; of a field that is new, too. Rows are JSON, null deletes
//   writing.save(field), .flush()   now: on blur; all of them, before a phase change or submit. flush() says whether all is saved
//   writing.giveUp()                decides against what is not saved
//   writing.clock(block)            a clock block from elsewhere (stream, re-sync): fields that may be written again go on
//   writing.refresh()               fetches all fields: after a take-over (done by itself) and after a reconnect
//   writing.dirty                   names of the fields that are not saved and still may be; .text(field) what is shown
//   restore(field, version)         makes a version of the history the text again
// The page binds nothing for `online`, `visibilitychange`, `pagehide` and `pageshow`: that is done here.

import { csrfToken } from "../csrf.js";
import { localStore, Mirror, newId } from "./mirror.js";
import { Saver } from "./saver.js";

const TIMEOUT_MS = 10_000;
const REFRESH_AGAIN_MS = 3_000;
const LEAVING_BYTES = 60_000; // a browser sends 64 KiB at most for pages that are going away, all requests together
const RUNNING = new Set(["running", "overtime", "closing"]);

const phaseOfText = (field) => (field.startsWith("text/") ? [field.slice("text/".length)] : []);

export class Writing {
  constructor({ attempt, answersUrl, fields, lease, phasesOf = phaseOfText, on, mirror = new Mirror(attempt, localStore()) }) {
    Object.assign(this, { answersUrl, lease, phasesOf, on, mirror });
    this.savers = new Map();
    for (const name of new Set([...Object.keys(fields), ...mirror.fields()])) this.#add(name, fields[name]);
    this.#listen();
    lease.onHeld = () => this.#held();
    if (lease.held) this.#held();
    if (!mirror.works) this.#tell("", "storage", {});
  }

  #add(field, start = { rev: 0, content: null }) {
    const saver = new Saver(field, start, {
      send: (op) => this.#put(field, op),
      drop: (op) => this.#post(`${field}/dropped`, op),
      leave: (op) => this.#leave(field, op),
      fetch: () => this.#get(field),
      mirror: this.mirror,
      newId,
      later: (ms, what) => {
        const timer = setTimeout(what, ms);
        return () => clearTimeout(timer);
      },
      now: () => Date.now(),
      jitter: () => 0.7 + 0.6 * Math.random(),
      tell: (type, detail) => this.#tell(field, type, detail),
    });
    this.savers.set(field, saver);
    if (!this.lease.held) saver.blocked = "lease_lost";
    return saver;
  }

  #saver(field) {
    return this.savers.get(field) ?? this.#add(field);
  }

  #tell(field, type, detail) {
    if (type === "storage" && this.toldStorage) return;
    this.toldStorage ||= type === "storage";
    if (type === "readonly" && detail.code === "lease_lost") this.lease.lost(detail.label);
    this.on(type, { field, ...detail });
  }

  // --- what the page calls -------------------------------------------------------------------------------------------------

  typed(field, content) {
    this.#saver(field).typed(content);
  }

  save(field) {
    return this.#saver(field).save();
  }

  text(field) {
    return this.savers.get(field)?.shown ?? null;
  }

  get dirty() {
    return [...this.savers.values()].filter((saver) => saver.pending).map((saver) => saver.field);
  }

  /** Everything that can be saved is; whether nothing is left. */
  async flush() {
    await Promise.all([...this.savers.values()].map((saver) => saver.save()));
    await Promise.all([...this.savers.values()].map((saver) => saver.save())); // typed while the first was on its way
    return this.dirty.length === 0;
  }

  choose(field, which) {
    return this.#saver(field).choose(which);
  }

  /** Decides against all that is not saved; it stands in the history. Whether that was done. */
  async giveUp() {
    const done = await Promise.all(this.dirty.map((field) => this.#saver(field).giveUp()));
    return done.every(Boolean);
  }

  restoreLeft(field) {
    return this.#saver(field).restoreLeft();
  }

  discardLeft(field) {
    return this.#saver(field).discardLeft();
  }

  /** A version of the history becomes the text again; what is shown is saved before. Whether it was done. */
  async restore(field, version) {
    const saver = this.#saver(field);
    await saver.save();
    if (saver.dirty) return false;
    const { status } = await this.#post(`${field}/restore`, { version, op_id: newId() });
    if (status === 200) saver.refresh(await this.#get(field));
    return status === 200;
  }

  clock(block) {
    if (!this.lease.held || !RUNNING.has(block.state)) return;
    for (const saver of this.savers.values()) {
      const phases = this.phasesOf(saver.field);
      const open = !phases.length || phases.some((phase) => block.writable.includes(phase));
      if (saver.blocked && (open || saver.blocked !== "phase_frozen")) saver.resume();
    }
  }

  async refresh() {
    const response = await this.#request("", { method: "GET" }).catch(() => null);
    if (response?.status !== 200 || !response.body?.fields) return false; // an answer that broke off has no body
    for (const [field, start] of Object.entries(response.body.fields)) this.#saver(field).refresh(start);
    return true;
  }

  // --- the page comes and goes -----------------------------------------------------------------------------------------------

  /** This tab may write now: what the others have saved comes first, then what earlier pages left. */
  async #held() {
    const known = await this.refresh();
    if (!this.lease.held) return;
    for (const saver of this.savers.values()) {
      if (saver.blocked === "lease_lost") saver.resume();
      if (known) saver.offerLeft();
    }
    if (!known) setTimeout(() => this.lease.held && this.#held(), REFRESH_AGAIN_MS);
  }

  #listen() {
    window.addEventListener("online", () => this.#poke());
    window.addEventListener("pageshow", ({ persisted }) => persisted && this.#poke());
    window.addEventListener("pagehide", () => this.#goAway());
    document.addEventListener("visibilitychange", () => document.hidden && this.flush());
  }

  #poke() {
    for (const saver of this.savers.values()) saver.poke();
  }

  /** The small ones first: what does not fit any more stands in the copies on this device. */
  #goAway() {
    this.leavingBytes = 0;
    const savers = [...this.savers.values()].filter((saver) => saver.dirty);
    savers.sort((one, other) => (one.shown ?? "").length - (other.shown ?? "").length);
    for (const saver of savers) saver.leave();
  }

  #leave(field, op) {
    const body = JSON.stringify(this.#signed(op));
    this.leavingBytes += new Blob([body]).size;
    if (this.leavingBytes > LEAVING_BYTES) return;
    const headers = { "Content-Type": "application/json", "X-CSRFToken": csrfToken() };
    fetch(this.answersUrl + field, { method: "PUT", headers, body, keepalive: true }).catch(() => this.#beacon(field, op));
  }

  #beacon(field, op) {
    const { content, ...rest } = this.#signed(op);
    const values = Object.entries({ ...rest, csrfmiddlewaretoken: csrfToken() }).filter(([, value]) => value !== undefined);
    const form = new URLSearchParams([...values, content === null ? ["deleted", "1"] : ["content", content]]);
    navigator.sendBeacon(this.answersUrl + field, form);
  }

  // --- requests ----------------------------------------------------------------------------------------------------------------

  #signed(op) {
    return { ...op, client_id: this.lease.clientId, lease_epoch: this.lease.epoch };
  }

  async #put(field, op) {
    const signed = this.#signed(op);
    const reply = await this.#request(field, { method: "PUT", body: JSON.stringify(signed) });
    const outdated = signed.lease_epoch !== this.lease.epoch;
    if (reply.body.lease_epoch !== undefined) this.lease.renewed(reply.body.lease_epoch);
    return { ...reply, outdated };
  }

  #post(path, op) {
    return this.#request(path, { method: "POST", body: JSON.stringify(this.#signed(op)) });
  }

  async #get(field) {
    const { status, body } = await this.#request(field, { method: "GET" });
    if (status !== 200) throw new Error(`status ${status}`);
    return body;
  }

  async #request(path, options) {
    const sentAt = performance.now();
    const headers = { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": csrfToken() };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await fetch(this.answersUrl + path, { ...options, headers, signal, redirect: "error" });
    const body = await response.json().catch(() => ({}));
    if (body.clock) {
      this.on("clock", { clock: body.clock, sentAt });
      this.clock(body.clock);
    }
    return { status: response.status, body };
  }
}
