// Rows that are brought into order: by buttons, or by a digit to choose a row and the arrow keys to move it.

const rowsOf = (list) => [...list.querySelectorAll("[data-row]")];

/** Moves `row` by one place and says where it stands; the focus stays with what was pressed. */
export function moveRow(row, step, pressed = row) {
  const list = row.parentElement;
  const rows = rowsOf(list);
  const target = rows.indexOf(row) + step;
  if (target < 0 || target >= rows.length) return;
  if (step < 0) rows[target].before(row);
  else rows[target].after(row);
  rowsOf(list).forEach((item, i) => (item.querySelector("kbd").textContent = String(i + 1)));
  pressed.focus();
  document.querySelector("[data-order-status]").textContent = `Now at place ${target + 1} of ${rows.length}.`;
}

/** A digit chooses a row, an arrow moves the chosen one. Whether the key meant anything. */
export function orderKeys(list, key) {
  if (!list) return false;
  const rows = rowsOf(list);
  const chosen = rows.find((row) => row.contains(document.activeElement));
  if (typeof key === "number") {
    rows[key - 1]?.focus();
    return Boolean(rows[key - 1]);
  }
  if (!chosen || !["ArrowUp", "ArrowDown"].includes(key)) return false;
  moveRow(chosen, key === "ArrowUp" ? -1 : 1);
  return true;
}
