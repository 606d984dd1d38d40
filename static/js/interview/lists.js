// The structured lists as tables one can work with a keyboard: add, edit, move, delete, link; what happened is said aloud.

import { cellText, contentOf, newKey, orderAtEnd, orderMoved, rowName, rowsOf } from "./rows.js";

/** All lists of the room. `store` holds the fields; `runs()` the attempt's runs for links. */
export class Lists {
  constructor(room, config, store, runs) {
    Object.assign(this, { config, store, runs });
    this.tables = [...room.querySelectorAll("[data-list]")].map((root) => new Table(root, this));
    this.kinds = new Map([...room.querySelectorAll("select[name=kind] option")].map((option) => [option.value, option.textContent]));
    store.onRows((list) => this.show(list));
    for (const table of this.tables) table.show();
  }

  rows(list) {
    return rowsOf(list, this.store.entries());
  }

  columns(list) {
    return this.config.lists[list].columns;
  }

  /** A list and those that name its rows. */
  show(list) {
    for (const table of this.tables) if (table.list === list || table.columns.some((column) => column.rows === list)) table.show();
  }

  nameOf = (column, value) => {
    if (column.kind === "kind") return this.kinds.get(value) ?? value;
    const row = this.rows(column.rows).find((item) => item.key === value);
    return row ? rowName(this.columns(column.rows), row, this.nameOf) : "a deleted row";
  };

  /** Adds a row from elsewhere: an assumption, an answer, a number of a calculator. */
  add(list, cells) {
    const rows = this.rows(list);
    const same = rows.find((row) => (cells.fact && row.fact === cells.fact) || (cells.calculator && row.calculator === cells.calculator));
    const key = same?.key ?? newKey();
    this.store.set(`row/${list}/${key}`, contentOf({ ...same, order: same?.order ?? orderAtEnd(rows), ...cells }));
    this.show(list);
    return key;
  }

  /** Errors the server found in a row go beside its cells. */
  refuse(list, key, fields) {
    for (const table of this.tables) if (table.list === list) table.refuse(key, fields);
  }

  /** Rows that are being written are taken as they stand. */
  take() {
    for (const table of this.tables) table.take();
  }

  /** `over`: what is closed now is closed for good, so a row that is being written is taken as it stands. */
  frozen(keys, over) {
    for (const table of this.tables) table.frozen(!keys.has(table.root.dataset.prefix), over);
  }
}

class Table {
  constructor(root, lists) {
    Object.assign(this, { root, lists, list: root.dataset.list });
    this.columns = lists.columns(this.list);
    this.one = lists.config.lists[this.list].one;
    this.part = (name) => root.querySelector(`[data-part=${name}]`);
    this.form = this.part("form");
    root.addEventListener("click", (event) => this.#pressed(event.target.closest("[data-row-action]")));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    this.form.addEventListener("keydown", (event) => event.key === "Escape" && this.#close());
  }

  get rows() {
    return this.lists.rows(this.list);
  }

  // --- the table -----------------------------------------------------------------------------------------------------------

  show() {
    const { rows } = this;
    const focused = this.part("rows").contains(document.activeElement) ? document.activeElement.dataset : null;
    this.part("rows").replaceChildren(...rows.map((row, at) => this.#line(row, at, rows.length)));
    this.#hideEmpty(rows);
    this.part("scroll").hidden = rows.length === 0;
    this.part("none").hidden = rows.length > 0 || !this.form.hidden;
    if (focused) this.#focus(focused.key, focused.rowAction);
    if (!this.form.hidden) this.#fillChoices(this.#values());
  }

  /** Columns that no row fills are left out, so that the filled ones have room. */
  #hideEmpty(rows) {
    for (const [at, column] of this.columns.filter((item) => !item.hidden).entries()) {
      const filled = rows.some((row) => cellText(column, row[column.name], this.lists.nameOf) !== "");
      for (const line of this.root.querySelectorAll("tr")) line.cells[at].hidden = !filled;
    }
  }

  #line(row, at, count) {
    const line = document.createElement("tr");
    for (const column of this.columns.filter((item) => !item.hidden)) {
      const cell = line.insertCell();
      cell.dataset.title = column.title;
      cell.textContent = cellText(column, row[column.name], this.lists.nameOf);
      if (column.kind === "number") cell.className = "num";
    }
    const name = rowName(this.columns, row, this.lists.nameOf);
    const tools = line.insertCell();
    tools.className = "rows-tools";
    tools.append(
      this.#button("edit", row.key, `Edit ${name}`, "Edit"),
      this.#button("up", row.key, `Move ${name} up`, "↑", at === 0),
      this.#button("down", row.key, `Move ${name} down`, "↓", at === count - 1),
      this.#button("delete", row.key, `Delete ${name}`, "×"),
    );
    return line;
  }

  #button(action, key, label, text, disabled = false) {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "button is-quiet", textContent: text, disabled: disabled || this.isFrozen });
    Object.assign(button.dataset, { rowAction: action, key });
    button.setAttribute("aria-label", label);
    return button;
  }

  #focus(key, action) {
    const wanted = this.root.querySelector(`[data-key="${CSS.escape(key ?? "")}"][data-row-action=${action}]`);
    if (wanted && !wanted.disabled) wanted.focus();
    else (this.root.querySelector(`[data-key="${CSS.escape(key ?? "")}"][data-row-action=edit]`) ?? this.root.querySelector("[data-row-action=add]")).focus();
  }

  #pressed(button) {
    if (!button) return;
    const { rowAction: action, key } = button.dataset;
    const actions = {
      add: () => this.#open(null),
      edit: () => this.#open(key),
      up: () => this.#move(key, -1),
      down: () => this.#move(key, 1),
      delete: () => this.#delete(key),
      undo: () => this.#undo(),
      cancel: () => this.#close(),
    };
    actions[action]();
  }

  #move(key, step) {
    const { rows } = this;
    const at = rows.findIndex((row) => row.key === key);
    const order = orderMoved(rows, at, step);
    if (order === null) return;
    this.lists.store.set(rows[at].field, contentOf({ ...rows[at], order }));
    this.lists.show(this.list);
    this.#focus(key, step < 0 ? "up" : "down");
    this.#say(`Moved to place ${at + 1 + step} of ${rows.length}.`);
  }

  #delete(key) {
    const { rows } = this;
    const at = rows.findIndex((row) => row.key === key);
    this.deleted = rows[at];
    const name = rowName(this.columns, rows[at], this.lists.nameOf);
    this.lists.store.set(rows[at].field, null);
    if (this.editing === key) this.#close();
    this.lists.show(this.list);
    const next = rows[at + 1] ?? rows[at - 1];
    this.#focus(next?.key, "delete");
    this.#say(`Deleted: ${name}.`, true);
  }

  #undo() {
    this.lists.store.set(this.deleted.field, contentOf(this.deleted));
    this.lists.show(this.list);
    this.#focus(this.deleted.key, "edit");
    this.#say("It is back.");
  }

  #say(sentence, undo = false) {
    this.part("announce").textContent = sentence;
    this.root.querySelector("[data-row-action=undo]").hidden = !undo;
  }

  // --- the form --------------------------------------------------------------------------------------------------------------

  #open(key) {
    const row = this.rows.find((item) => item.key === key) ?? {};
    this.editing = key;
    this.form.hidden = false;
    this.part("none").hidden = true;
    this.#errors({});
    this.#fillChoices(row);
    for (const column of this.columns.filter((item) => !item.hidden)) {
      const input = this.form.elements[column.name];
      if (column.kind === "flag") input.checked = Boolean(row[column.name]);
      else if (column.kind === "choice") input.value = row[column.name] ?? input.options[0].value;
      else input.value = row[column.name] ?? "";
    }
    this.form.querySelector("input, select, textarea").focus();
  }

  /** Selects that name rows of another list, and runs. */
  #fillChoices(chosen) {
    for (const select of this.form.querySelectorAll("select[data-rows-of]")) {
      const list = select.dataset.rowsOf;
      const names = this.lists.rows(list).map((row) => [row.key, rowName(this.lists.columns(list), row, this.lists.nameOf)]);
      fill(select, "Choose", names, chosen[select.name]);
    }
    for (const select of this.form.querySelectorAll("select[data-runs]")) {
      const runs = this.lists.runs().map((run) => [String(run.number), `Run ${run.number}${run.label ? `: ${run.label}` : ""}`]);
      fill(select, "None", runs, chosen[select.name] ?? "");
    }
  }

  #values() {
    const values = {};
    for (const column of this.columns.filter((item) => !item.hidden)) {
      const input = this.form.elements[column.name];
      if (column.kind === "flag") values[column.name] = input.checked;
      else if (column.kind === "whole") values[column.name] = input.value ? Number(input.value) : null;
      else values[column.name] = input.value.trim();
    }
    return values;
  }

  /** A row that is being written, as it stands. */
  take() {
    if (this.form.hidden) return;
    const written = [...this.form.querySelectorAll("input:not([type=checkbox]), textarea")].some((input) => input.value !== input.defaultValue);
    if (written) this.#save();
    else this.#close();
  }

  #save() {
    const { rows } = this;
    const before = rows.find((row) => row.key === this.editing);
    const key = before?.key ?? newKey();
    const row = { ...before, order: before?.order ?? orderAtEnd(rows), ...this.#values() };
    this.lists.store.set(`row/${this.list}/${key}`, contentOf({ ...row, key, field: "" }));
    this.editing = key;
    this.#close();
    this.lists.show(this.list);
    this.#focus(key, "edit");
    const name = rowName(this.columns, row, this.lists.nameOf);
    this.#say(before ? `Changed: ${name}.` : `Added: ${name}. ${rows.length + 1} in the list.`);
  }

  #close() {
    const back = this.editing;
    this.editing = undefined;
    this.form.hidden = true;
    this.part("none").hidden = this.rows.length > 0;
    if (this.form.contains(document.activeElement) || document.activeElement === document.body) this.#focus(back, "edit");
  }

  refuse(key, fields) {
    this.#open(key);
    this.#errors(fields);
    this.#say(`Not saved: ${Object.values(fields).join(" ")}`);
  }

  #errors(fields) {
    for (const place of this.form.querySelectorAll("[data-error]")) {
      const sentence = fields[place.dataset.error] ?? "";
      Object.assign(place, { textContent: sentence, hidden: !sentence });
      this.form.elements[place.dataset.error]?.setAttribute("aria-invalid", String(Boolean(sentence)));
    }
  }

  /** In a pause, and in a tab that only reads, a row that is being written stays open. */
  frozen(value, over) {
    if (this.isFrozen === value) return;
    this.isFrozen = value;
    if (value && over) this.take();
    this.root.querySelector("[data-row-action=add]").disabled = value;
    this.show();
  }
}

function fill(select, none, choices, chosen) {
  const value = chosen === undefined || chosen === null ? "" : String(chosen);
  select.replaceChildren(new Option(none, ""), ...choices.map(([key, name]) => new Option(name, key)));
  select.value = value;
}
