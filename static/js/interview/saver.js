// One field on its way to the server. Pure: what it sends, keeps, waits for and tells comes in through `around`, so that a test can
// lose requests, lose replies and stop the page wherever it likes.
//
// Four rules keep every text:
//   one write at a time, and a write without an answer is sent again under its own name until there is one;
//   the copy on the device goes only when the server has confirmed exactly what is shown;
//   what the server refuses it has kept first, and the person chooses between the versions;
//   text somebody decides against is stored before it goes.

const IDLE_MS = 2_000; // after the last key
const LONGEST_MS = 10_000; // while typing
const LONGEST_WITHOUT_COPY_MS = 3_000; // where the device keeps none
const RETRY_MS = [1_000, 2_000, 4_000, 8_000, 15_000];
const UNDECIDED = -1;
const JOINT = "\n\n---\n\n";

/** Whether two contents say the same. Rows are compared by their values: the server orders them and reads their numbers. */
export function same(field, one, other) {
  if (one === other || one === null || other === null || field.startsWith("text/")) return one === other;
  const plain = (text) => Object.entries(JSON.parse(text)).filter(([, value]) => !["", null, false].includes(value));
  const first = plain(one);
  const second = new Map(plain(other));
  return first.length === second.size && first.every(([name, value]) => String(second.get(name)) === String(value));
}

export class Saver {
  /**
   * field   its name
   * start   {rev, content, op_id}: what the server has; {rev: 0, content: null} where it has nothing
   * around  {
   *   send(op)            -> Promise<{status, body, outdated}>; rejects when there was no answer. op: {op_id, content, base_rev, after?}
   *                       outdated: the lease was taken anew while the write was on its way
   *   drop(op)            the same, for text decided against
   *   leave(op)           sends without waiting, for a page that goes away
   *   fetch()             -> Promise<start>: the field as the server has it now
   *   mirror              Mirror
   *   newId()
   *   later(ms, what)     -> a function that calls it off
   *   now()               milliseconds
   *   jitter()            0.7 to 1.3
   *   tell(type, detail)  see save.js
   * }
   */
  constructor(field, start, around) {
    Object.assign(this, { field, around });
    this.empty = field.startsWith("text/") ? "" : null;
    this.rev = start.rev;
    this.shown = this.acked = start.content ?? this.empty;
    this.serverOp = start.op_id ?? "";
    this.flying = null; // the write under way
    this.waiting = null; // the two versions somebody has to choose between
    this.blocked = ""; // why nothing may be written now
    this.refused = false; // the server does not take what is shown
    this.failures = 0;
    this.left = []; // copies of earlier pages
    this.offered = null; // the one that may be restored
    this.taken = null; // the one that has become the text, until this page has a copy of its own
  }

  get dirty() {
    return !same(this.field, this.shown, this.acked);
  }

  /** Whether it may still be saved: what came after its phase was over is kept in the history and stays there. */
  get pending() {
    return this.dirty && this.blocked !== "phase_frozen";
  }

  get canSave() {
    return this.dirty && !this.flying && !this.waiting && !this.blocked && !this.refused;
  }

  // --- what a person does ------------------------------------------------------------------------------------------------

  /** The control holds `content` now; null deletes a row. */
  typed(content) {
    this.shown = content;
    this.refused = false;
    this.#copy();
    this.around.tell("dirty", {});
    this.#soon();
  }

  /** Sends what is not saved; the promise resolves when it has been answered, or could not be. */
  save() {
    return this.canSave ? this.#write() : (this.flight ?? Promise.resolve());
  }

  /** `after`: the write this one follows, if that had no answer when this one was made. */
  #write(after) {
    this.since = undefined;
    this.flying = { op_id: this.around.newId(), content: this.shown, base_rev: this.rev, after };
    this.tries = 0;
    return this.#fly();
  }

  /** The connection may be back: what waits for another try is sent now. */
  poke() {
    if (this.flying && !this.flight) this.#fly();
    else this.save();
  }

  /** The page goes away: what is shown is sent once more, without waiting for what is under way. */
  leave() {
    if (!this.dirty) return;
    this.#copy();
    if (this.waiting || this.blocked || this.refused) return;
    const before = this.flying;
    if (before?.content !== this.shown) {
      this.flying = { op_id: this.around.newId(), content: this.shown, base_rev: this.rev, after: before?.op_id };
    }
    this.tries = this.flying === before ? 2 : 1;
    this.around.leave(this.flying);
  }

  /** "mine", "theirs" or "both" of the versions shown; the promise tells whether the choice took hold. */
  async choose(which) {
    const { theirs, rev, kept, op = "" } = this.waiting ?? {};
    if (!this.waiting) return false;
    const mine = this.shown;
    const stored = kept !== undefined && same(this.field, mine, kept);
    if (which === "theirs" && !stored && !(await this.#drop(mine))) return false;
    if (this.shown !== mine) return false; // typed in between: the choice was made without it
    this.waiting = null;
    Object.assign(this, { rev, acked: theirs, serverOp: op });
    if (which === "theirs") this.#show(theirs);
    if (which === "both") this.#show(`${(theirs ?? "").trimEnd()}${JOINT}${mine ?? ""}`);
    if (this.dirty) this.#copy();
    else this.#confirmed();
    this.around.tell("chosen", { which });
    await this.save();
    this.#nextLeft();
    return true;
  }

  /**
   * Decides against what is shown and not saved: the server stores it aside, then what it had stands here again. A write under way may
   * still arrive, so another follows that undoes it. Whether it was done.
   */
  async giveUp() {
    const mine = this.shown;
    if (!this.dirty || this.waiting || !(await this.#drop(mine)) || this.shown !== mine) return !this.dirty;
    const before = this.flying;
    this.#callOff();
    this.#show(this.acked);
    if (!before) {
      this.#confirmed();
      return true;
    }
    this.#write(before.op_id);
    this.#copy();
    return true;
  }

  // --- copies of earlier pages ---------------------------------------------------------------------------------------------

  /** Looks for text that an earlier page could not save. Call it in the tab that may write. */
  offerLeft() {
    this.left = this.around.mirror.left(this.field);
    this.#nextLeft();
  }

  #nextLeft() {
    if (this.waiting || this.offered || this.dirty || this.flying || this.blocked) return; // what is shown here comes first
    if (!this.left.length) return;
    const kept = this.around.mirror.read(this.left.shift().key);
    if (!kept || same(this.field, kept.content, this.acked)) {
      if (kept) this.around.mirror.forget(kept);
      this.#nextLeft();
    } else if (kept.base_rev === this.rev || (kept.op && kept.op === this.serverOp)) {
      this.offered = { ...kept, rev: this.rev };
      this.around.tell("kept", { content: kept.content, at: kept.at });
    } else {
      this.#takeAgainst(kept);
    }
  }

  /** The copy and the text that stands there know nothing of each other. */
  #takeAgainst(kept) {
    const versions = { theirs: this.acked, rev: this.rev, op: this.serverOp };
    this.#take(kept);
    this.#wait(versions);
  }

  /** Makes a copy the text of this page, from where it is kept under this page's name. */
  #take(kept) {
    this.taken = kept;
    this.#show(kept.content);
    if (this.#copy()) this.#forgetTaken();
  }

  /** Takes the offered copy; what was typed here since is saved first. Whether it was done. */
  async restoreLeft() {
    if (this.dirty) await this.save();
    if (!this.offered || this.dirty) return false;
    const { key, rev } = this.offered;
    const kept = this.around.mirror.read(key);
    this.offered = null;
    if (kept && rev !== this.rev) this.#takeAgainst(kept); // the text has gone on since the copy was offered
    else if (kept) this.#take(kept);
    await this.save();
    this.#nextLeft();
    return true;
  }

  /** Decides against the offered copy: the server stores it, then it goes. Whether it was done. */
  async discardLeft() {
    const kept = this.offered;
    if (!kept || !(await this.#drop(kept.content))) return false;
    this.offered = null;
    if (!this.around.mirror.forget(kept)) this.left.unshift(kept); // its page is still there and goes on: that is another text
    this.#nextLeft();
    return true;
  }

  async #drop(content) {
    this.dropping = this.dropping?.content === content ? this.dropping : { op_id: this.around.newId(), content, base_rev: this.rev };
    try {
      const { status } = await this.around.drop(this.dropping);
      if (status === 200) this.dropping = null;
      else this.around.tell("failed", { why: "drop" });
      return status === 200;
    } catch {
      this.around.tell("failed", { why: "drop" });
      return false;
    }
  }

  // --- what the server says ------------------------------------------------------------------------------------------------

  /** The field as the server has it: after a lease was taken over, a reconnect, or a write that was overtaken. */
  refresh({ rev, content, saved_at: at, client_label: label, op_id: op }) {
    if (this.flying || this.waiting || rev <= this.rev) return;
    const theirs = content ?? this.empty;
    if (this.dirty && !same(this.field, theirs, this.shown)) return this.#wait({ theirs, rev, at, label, op });
    Object.assign(this, { rev, acked: theirs, serverOp: op });
    this.#show(theirs);
    this.#confirmed();
  }

  /** What kept this field from being written is over. */
  resume() {
    if (!this.blocked) return;
    this.blocked = "";
    this.around.tell("writable", {});
    this.save();
  }

  #fly() {
    this.#callOff();
    this.tries += 1;
    const op = this.flying;
    const flight = this.around.send(op).then(
      (reply) => void (this.flying === op && this.#answered(op, reply)), // void: not to wait for the write it may begin
      () => void (this.flying === op && this.#failed("unreachable")),
    );
    this.flight = flight;
    flight.finally(() => this.#landed(flight));
    return flight;
  }

  /** A page that was left and came back goes on with the write it left with. */
  #landed(flight) {
    if (this.flight !== flight) return;
    this.flight = null;
    if (this.flying && !this.cancel) this.#fly();
  }

  #answered(op, { status, body, outdated }) {
    if (status === 403 || status === 404) return this.#failed("signed_out");
    if (status === 429 || status >= 500) return this.#failed("busy");
    this.flying = null;
    if (this.failures) this.around.tell("reached", {});
    this.failures = 0;
    if (status === 200) return this.#stored(op, body);
    if (status === 409) return this.#overtaken(op, body);
    if (status === 410) return this.#closed(op, body);
    if (status === 423) return this.#locked(op, body, this.tries > 1 || outdated);
    if (body.code === "op_id_reused") return this.save();
    this.refused = same(this.field, op.content, this.shown);
    this.around.tell("refused", { message: body.detail, errors: body.fields ?? {} });
  }

  /** `before`: that may be the answer to an earlier try, or about a lease of before. A new write is then judged anew. */
  #locked(op, body, before) {
    if (before && (this.dirty || op.after)) return this.#write(op.after);
    if (!this.dirty) this.#confirmed(); // it took a write back: nothing is shown that the server has not
    if (!before) this.#block(body.code, body);
  }

  #stored(op, { rev, current_rev: current, saved_at: at, content }) {
    this.rev = rev;
    this.serverOp = op.op_id;
    const unchanged = this.shown === op.content;
    this.acked = content === undefined ? op.content : content;
    if (unchanged && content !== undefined && this.shown !== content) this.#show(content);
    if (unchanged) this.#confirmed();
    else this.#copy();
    this.around.tell("saved", { at, rev, dirty: this.dirty });
    if (current > rev) this.#fetch();
    else if (this.dirty) this.#soon();
    this.#nextLeft();
  }

  #fetch() {
    this.around.fetch().then(
      (start) => this.refresh(start),
      () => {}, // the next write will be answered with the other version
    );
  }

  #overtaken(op, { rev, content, saved_at: at, client_label: label }) {
    const theirs = content ?? this.empty;
    if (same(this.field, theirs, this.shown)) {
      Object.assign(this, { rev, acked: theirs, serverOp: "" }); // whose write that was it does not say
      this.#confirmed();
      return this.around.tell("saved", { at, rev, dirty: false });
    }
    this.#wait({ theirs, rev, at, label, kept: op.content });
  }

  #closed(op, { stored }) {
    if (stored && this.shown !== op.content) {
      this.acked = op.content;
      return this.save();
    }
    if (stored) this.#confirmed();
    this.#block("closed", { stored });
  }

  #block(code, body) {
    this.blocked = code;
    this.around.tell(code === "closed" ? "closed" : "readonly", { code, stored: body.stored, label: body.client_label });
  }

  /** No answer: the same write again, under the same name, until there is one. */
  #failed(why) {
    const ms = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)] * this.around.jitter();
    this.failures += 1;
    this.#copy();
    this.around.tell("failed", { why });
    this.cancel = this.around.later(ms, () => this.#fly());
  }

  #wait(versions) {
    this.waiting = versions;
    this.#copy();
    this.around.tell("conflict", { mine: this.shown, theirs: versions.theirs, at: versions.at, label: versions.label });
  }

  // --- keeping and waiting ---------------------------------------------------------------------------------------------------

  #show(content) {
    this.shown = content;
    this.around.tell("show", { content });
  }

  #copy() {
    const base = this.waiting ? UNDECIDED : this.rev; // a page that dies before the choice leaves a copy that has to be chosen again
    const copy = { base_rev: base, content: this.shown, at: this.around.now(), op: this.flying?.op_id };
    const kept = this.around.mirror.write(this.field, copy);
    if (!kept) this.around.tell("storage", {});
    return kept;
  }

  /** The server holds what is shown. */
  #confirmed() {
    this.around.mirror.clear(this.field);
    this.#forgetTaken();
  }

  #forgetTaken() {
    if (this.taken) this.around.mirror.forget(this.taken);
    this.taken = null;
  }

  #soon() {
    if (!this.canSave) return;
    this.#callOff();
    this.since ??= this.around.now();
    const longest = this.around.mirror.works ? LONGEST_MS : LONGEST_WITHOUT_COPY_MS;
    const ms = Math.max(0, Math.min(IDLE_MS, this.since + longest - this.around.now()));
    this.cancel = this.around.later(ms, () => this.save());
  }

  #callOff() {
    this.cancel?.();
    this.cancel = undefined;
  }
}
