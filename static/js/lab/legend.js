// The names of a figure's traces as buttons above it: they wrap as text does, and each hides or shows its trace.

const SVG = "http://www.w3.org/2000/svg";
const MARKERS = {
  circle: "M6.5 5a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0Z",
  square: "M6.8 1.8h6.4v6.4h-6.4Z",
  diamond: "M10 .5 14.5 5 10 9.5 5.5 5Z",
  "triangle-up": "M10 1 14.5 9h-9Z",
};

/** Fills `place` for `figure`; `hidden` (a Set of names) is changed by clicks, which then call `redraw`. */
export function showLegend(place, figure, hidden, redraw) {
  const traces = figure.plot.layout.showlegend ? figure.plot.data.filter((trace) => trace.name && trace.showlegend !== false) : [];
  const wanted = traces.map((trace) => `${trace.name}|${inkOf(trace)}|${hidden.has(trace.name)}`).join("\n");
  if (place.dataset.shown === wanted) return; // the same names: whoever stands on a button stays there
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.name : null;
  place.dataset.shown = wanted;
  place.replaceChildren(...traces.map((trace) => entry(trace, hidden, redraw)));
  if (focused !== null) place.querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus();
}

/** Traces as Plotly takes them, the hidden ones left out of the picture and of the axes' range. */
export function withoutHidden(data, hidden) {
  return data.map((trace) => (hidden.has(trace.name) ? { ...trace, visible: false } : trace));
}

function entry(trace, hidden, redraw) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "lab-legend-entry";
  button.dataset.name = trace.name;
  button.setAttribute("aria-pressed", String(!hidden.has(trace.name)));
  button.append(mark(trace), trace.name);
  button.addEventListener("click", () => {
    if (!hidden.delete(trace.name)) hidden.add(trace.name);
    redraw();
  });
  return button;
}

function inkOf(trace) {
  return trace.type === "bar" ? trace.marker?.color : trace.line?.color ?? trace.marker?.color;
}

/** A small picture of the trace: a block, a line, a dot, or a line with a dot. */
function mark(trace) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 10");
  svg.setAttribute("aria-hidden", "true");
  const ink = typeof inkOf(trace) === "string" ? inkOf(trace) : "currentColor";
  const mode = trace.type === "scatter" || !trace.type ? trace.mode ?? "lines" : "block";
  if (mode === "block") svg.append(shape("rect", { x: 4, y: 0, width: 12, height: 10, rx: 2, fill: ink }));
  if (mode.includes("lines")) svg.append(shape("line", { x1: 0, x2: 20, y1: 5, y2: 5, stroke: ink, "stroke-width": 2, "stroke-dasharray": dashes(trace) }));
  if (mode.includes("markers")) svg.append(shape("path", { d: MARKERS[trace.marker?.symbol] ?? MARKERS.circle, fill: ink }));
  return svg;
}

function dashes(trace) {
  return { dash: "5 3", dot: "2 2", dashdot: "5 2 2 2", longdash: "8 3" }[trace.line?.dash] ?? "none";
}

function shape(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}
