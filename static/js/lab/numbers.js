// The numbers behind a figure as a table, one row a point.

const MOST_ROWS = 400;
const precise = new Intl.NumberFormat("en", { maximumSignificantDigits: 5, useGrouping: false });

/** A <table> of the figure's points; long ones say how much they leave out. */
export function numbersTable(figure) {
  const rows = figure.plot.data.flatMap(rowsOf);
  const { xaxis, yaxis } = figure.plot.layout;
  const heads = ["Series", xaxis?.title?.text || "x", yaxis?.title?.text || "y"];
  if (rows.some((row) => row.length > 3)) heads.push(rows.some((row) => row.length > 4) ? "Low" : "Value");
  if (rows.some((row) => row.length > 4)) heads.push("High");
  const table = document.createElement("table");
  table.className = "table";
  const caption = table.createCaption();
  caption.textContent = rows.length > MOST_ROWS ? `The first ${MOST_ROWS} of ${rows.length} points` : `${rows.length} points`;
  const head = table.createTHead().insertRow();
  for (const text of heads) head.append(headCell(text));
  const body = table.createTBody();
  for (const row of rows.slice(0, MOST_ROWS)) fillRow(body.insertRow(), row, heads.length);
  return table;
}

function rowsOf(trace) {
  const name = trace.name || "";
  if (Array.isArray(trace.z)) return trace.z.flatMap((line, i) => line.map((z, j) => [name, trace.x?.[j] ?? j, trace.y?.[i] ?? i, z]));
  const { x = [], y = [], error_y: band } = trace;
  return Array.from({ length: Math.max(x.length, y.length) }, (_, i) => {
    const row = [name, x[i] ?? i, y[i]];
    return band?.array ? [...row, y[i] - (band.arrayminus ?? band.array)[i], y[i] + band.array[i]] : row;
  });
}

function headCell(text) {
  const cell = document.createElement("th");
  cell.scope = "col";
  cell.textContent = text;
  return cell;
}

function fillRow(line, row, columns) {
  for (let i = 0; i < columns; i += 1) {
    const cell = line.insertCell();
    cell.textContent = typeof row[i] === "number" ? precise.format(row[i]) : row[i] ?? "";
    if (typeof row[i] === "number") cell.className = "num";
  }
}
