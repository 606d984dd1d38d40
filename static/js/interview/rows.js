// Rows of the structured lists as plain data: reading them from fields, their order, how a cell reads. Pure.

const KEY_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789";

/** A new row's key; it never changes, so that others can name the row. */
export function newKey(random = (n) => crypto.getRandomValues(new Uint8Array(n))) {
  return [...random(10)].map((byte) => KEY_LETTERS[byte % 26]).join("");
}

/** Rows of a list from `entries` of [field, content], in order: [{key, field, ...cells}]. Deleted ones and such as cannot be read are left out. */
export function rowsOf(list, entries) {
  const prefix = `row/${list}/`;
  const rows = [];
  for (const [field, content] of entries) {
    if (!field.startsWith(prefix) || content === null || content === "") continue;
    try {
      rows.push({ ...JSON.parse(content), key: field.slice(prefix.length), field });
    } catch {
      // not a row: the server refuses to store such, so it can only be a slip of this page
    }
  }
  return rows.sort((a, b) => (a.order ?? 0) - (b.order ?? 0) || (a.key < b.key ? -1 : 1));
}

/** The row as a field holds it. */
export function contentOf(row) {
  const { key, field, ...cells } = row;
  return JSON.stringify(cells);
}

export function orderAtEnd(rows) {
  return rows.length ? Math.max(...rows.map((row) => row.order ?? 0)) + 1 : 1;
}

/** The order that puts the row at `at` one place up (step -1) or down (1): the mean of its new neighbours. null at the edge. */
export function orderMoved(rows, at, step) {
  const other = at + step;
  if (other < 0 || other >= rows.length) return null;
  const beyond = rows[other + step];
  return beyond ? ((rows[other].order ?? 0) + (beyond.order ?? 0)) / 2 : (rows[other].order ?? 0) + step;
}

/** What a cell shows. `names` resolves keys of other rows and kinds. */
export function cellText(column, value, names) {
  if (value === undefined || value === null || value === "" || value === false) return "";
  if (column.kind === "flag") return "yes";
  if (column.kind === "row" || column.kind === "kind") return names(column, value);
  if (column.kind === "whole") return `run ${value}`;
  const unit = column.unit ? ` ${column.unit}` : "";
  return `${value}${unit}`;
}

/** A row in a few words, for announcements and selects. */
export function rowName(columns, row, names) {
  if (row.name) return row.name;
  const shown = columns.filter((column) => !column.hidden).map((column) => cellText(column, row[column.name], names));
  return shown.filter(Boolean).slice(0, 2).join(", ") || "an empty row";
}
