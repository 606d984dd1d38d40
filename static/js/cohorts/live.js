// The live board: rows as they change, what is selected, how the connection stands.

import { Feed, read, STATE_WORDS } from "./feed.js";
import { serverSays, tick } from "./live-time.js";

class LiveBoard {
  constructor(root) {
    this.root = root;
    this.body = root.querySelector("[data-part=rows]");
    this.rows = new Map([...this.body.querySelectorAll("[data-row]")].map((row) => [row.dataset.row, row]));
    serverSays(root.dataset.now);
    this.#listen();
    this.#count();
    tick(root);
    setInterval(() => tick(root), 1000);
    this.feed = new Feed({
      url: root.dataset.stream,
      kinds: ["rows", "beat", "over"],
      onEvent: (kind, data) => (kind === "rows" ? this.take(data) : serverSays(data.now)),
      poll: async () => this.take(await (await read(root.dataset.rows)).json()),
      onState: (state) => this.#state(state),
    });
  }

  /** {now, rows: [{id, html}], gone: [ids], all: ids in order where the whole board is told} */
  take({ now, rows, gone, all }) {
    serverSays(now);
    for (const { id, html } of rows) this.#put(id, html);
    const away = all ? [...this.rows.keys()].filter((id) => !all.includes(id)) : gone;
    for (const id of away) this.#remove(id);
    this.#count();
  }

  /** Cells that look the same stay, so that neither the focus nor a selection is lost. */
  #put(id, html) {
    const made = document.createElement("template");
    made.innerHTML = html;
    const fresh = made.content.querySelector("[data-row]");
    tick(made.content);
    const row = this.rows.get(id);
    if (!row) return this.#add(id, fresh);
    for (const cell of fresh.querySelectorAll("[data-cell]:not([data-cell=select])")) {
      const old = row.querySelector(`[data-cell=${cell.dataset.cell}]`);
      if (old.innerHTML !== cell.innerHTML && !old.contains(document.activeElement)) old.innerHTML = cell.innerHTML;
    }
    row.dataset.key = fresh.dataset.key;
    row.toggleAttribute("data-eye", fresh.hasAttribute("data-eye"));
  }

  #add(id, fresh) {
    const after = [...this.rows.values()].filter((row) => row.dataset.name.localeCompare(fresh.dataset.name) > 0);
    const next = after.sort((one, two) => one.rowIndex - two.rowIndex)[0] ?? null;
    this.body.insertBefore(fresh, next);
    this.rows.set(id, fresh);
  }

  #remove(id) {
    this.rows.get(id)?.remove();
    this.rows.delete(id);
  }

  // --- selection -----------------------------------------------------------------------------------------------------

  #listen() {
    this.root.addEventListener("change", (event) => {
      if (event.target.matches("[data-part=all]")) for (const box of this.#boxes()) box.checked = event.target.checked;
      this.#count();
    });
    this.root.querySelector("form")?.addEventListener("submit", (event) => {
      if (this.#boxes().some((box) => box.checked)) return;
      event.preventDefault();
      this.root.querySelector("[data-part=selected]").textContent = "Select at least one row first.";
    });
  }

  #boxes() {
    return [...this.body.querySelectorAll("input[name=attempt]")];
  }

  #count() {
    const { size } = this.rows;
    document.querySelector("[data-part=count]").textContent = size;
    this.root.querySelector("[data-part=table]").hidden = size === 0;
    this.root.querySelector("[data-part=none]").hidden = size > 0;
    const all = this.root.querySelector("[data-part=all]");
    if (!all) return;
    this.root.querySelector("[data-part=bar]").hidden = size === 0;
    const chosen = this.#boxes().filter((box) => box.checked).length;
    all.checked = chosen > 0 && chosen === size;
    all.indeterminate = chosen > 0 && chosen < size;
    this.root.querySelector("[data-part=selected]").textContent = chosen ? `${chosen} selected` : "Select rows to act on them.";
  }

  #state(state) {
    const place = document.querySelector("[data-part=status]");
    place.dataset.state = state;
    place.querySelector("[data-part=status-words]").textContent = STATE_WORDS[state];
  }
}

for (const root of document.querySelectorAll("[data-live]")) root.board = new LiveBoard(root);
