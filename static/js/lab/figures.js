// Figures on the page: Plotly in the page's colours, a sentence for those who cannot see it, and the numbers behind it.

import { showLegend, withoutHidden } from "./legend.js";
import { numbersTable } from "./numbers.js";

let loading = null;

/** The Plotly bundle, fetched when the first figure needs it. */
export function loadPlotly(url) {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      loading = null;
      reject(new Error("The chart library could not be loaded; reload the page."));
    };
    document.head.append(script);
  });
  return loading;
}

const coarsePointer = window.matchMedia("(pointer: coarse)");
const darkScheme = window.matchMedia("(prefers-color-scheme: dark)");
const BUTTONS = [["toImage", "zoom2d", "pan2d", "resetScale2d"]];

/** Colours of the page as CSS has them now. */
function theme() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  return { text: read("--plot-text"), quiet: read("--plot-quiet"), grid: read("--plot-grid"), surface: read("--plot-surface"), font: read("--plot-font") };
}

function themedAxis(axis, { quiet, grid }) {
  const title = { ...axis.title, font: { size: 12, color: quiet }, standoff: 8 };
  const ticks = axis.type === "log" ? { nticks: 4 } : {};
  return { ...ticks, gridcolor: grid, linecolor: grid, zerolinecolor: grid, tickfont: { color: quiet, size: 11 }, automargin: true, ...axis, title };
}

/** Reference lines may lie on each other: their names stand at alternating ends. */
function spacedLabels(shapes) {
  return shapes.map((shape, i) => (i % 2 && shape.label ? { ...shape, label: { ...shape.label, textposition: "start" } } : shape));
}

/** The figure's layout in the page's colours; the lab decides axes, shapes and bar modes. No `transition`: it freezes the axes' ranges. */
function themedLayout(layout, key) {
  const colours = theme();
  const named = Object.entries(layout).filter(([name]) => /^[xy]axis\d*$/.test(name));
  const axes = Object.fromEntries(named.map(([name, axis]) => [name, themedAxis(axis, colours)]));
  return {
    hovermode: "closest",
    margin: { l: 12, r: 16, t: 12, b: 12 },
    ...layout,
    ...axes,
    shapes: spacedLabels(layout.shapes ?? []),
    showlegend: false, // the page has its own
    autosize: true,
    dragmode: coarsePointer.matches ? false : "zoom",
    font: { family: colours.font, size: 12, color: colours.text },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: { bgcolor: colours.surface, bordercolor: colours.grid, font: { family: colours.font, color: colours.text }, align: "left" },
    uirevision: [key, ...Object.values(axes).flatMap((axis) => [axis.type, axis.title.text])].join("/"), // keeps a zoom while the axes mean the same
  };
}

const LINE_LETTERS = 14;

/** Names on an axis, broken into lines so that they stand upright beside each other. */
function wrapped(trace) {
  return Array.isArray(trace.x) && trace.x.some((value) => typeof value === "string") ? { ...trace, x: trace.x.map(broken) } : trace;
}

function broken(name) {
  if (typeof name !== "string" || /^\d{4}-\d\d/.test(name)) return name;
  const lines = [""];
  for (const word of name.split(" ")) {
    const line = lines.at(-1);
    if (line && line.length + word.length >= LINE_LETTERS) lines.push(word);
    else lines[lines.length - 1] = line ? `${line} ${word}` : word;
  }
  return lines.join("<br>");
}

const CONFIG = { displaylogo: false, responsive: false, modeBarButtons: BUTTONS, displayModeBar: coarsePointer.matches ? false : "hover", scrollZoom: false };

/** A place on the page that holds figures by key, in the order in which they first came. */
export class FigureBoard {
  #shown = new Map();
  #queued = new Map();
  #drawing = null;
  #sizes = new ResizeObserver((entries) => this.#resized(entries)); // Plotly's own resizing would freeze the axes at their range of then

  constructor(root, { plotlyUrl, onDraw = () => {} }) {
    this.root = root;
    this.plotlyUrl = plotlyUrl;
    this.onDraw = onDraw;
    const retheme = () => this.show([...this.#shown.values()].map((item) => item.figure));
    darkScheme.addEventListener("change", retheme);
    new MutationObserver(retheme).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  /** Draws each figure at the next animation frame; of several versions of one only the newest. */
  show(figures) {
    for (const figure of figures) this.#queued.set(figure.key, figure);
    if (figures.length) this.#drawing ??= this.#drawSoon();
    return this.#drawing ?? Promise.resolve();
  }

  /** The final set of figures: others go, and one alone takes the whole width. */
  settle(figures) {
    this.root.classList.toggle("is-single", figures.length === 1);
    const kept = new Set(figures.map((figure) => figure.key));
    for (const [key, item] of this.#shown) {
      if (!kept.has(key)) this.#remove(key, item);
    }
    return this.show(figures).then(() => this.#order(figures));
  }

  /** Puts the figures in the order of the result; nothing is touched when they stand so already. */
  #order(figures) {
    const wanted = figures.map((figure) => this.#shown.get(figure.key)?.node).filter(Boolean);
    const now = [...this.root.children].filter((node) => wanted.includes(node));
    if (now.some((node, i) => node !== wanted[i])) this.root.append(...wanted);
  }

  /** Old figures stay, dimmed, while new ones are on their way. */
  set stale(value) {
    this.root.classList.toggle("is-stale", value);
  }

  async #drawSoon() {
    const plotly = await loadPlotly(this.plotlyUrl);
    await new Promise((resolve) => requestAnimationFrame(resolve));
    const figures = [...this.#queued.values()];
    this.#queued.clear();
    this.#drawing = null;
    this.root.querySelectorAll("[data-placeholder]").forEach((node) => node.remove());
    for (const figure of figures) await this.#draw(plotly, figure);
    this.onDraw();
  }

  async #draw(plotly, figure) {
    const item = this.#shown.get(figure.key) ?? this.#make(figure.key);
    item.figure = figure;
    item.title.textContent = figure.title;
    item.summary.textContent = figure.summary;
    item.node.dataset.drawn = String(Number(item.node.dataset.drawn || 0) + 1);
    item.width = item.plot.clientWidth;
    const { data, layout } = structuredClone(figure.plot); // react compares by identity, so arrays must be new ones
    showLegend(item.legend, figure, item.hidden, () => this.show([item.figure]));
    await plotly.react(item.plot, withoutHidden(data.map(wrapped), item.hidden), themedLayout(layout, figure.key), CONFIG);
    item.plot.querySelector("svg.main-svg")?.setAttribute("aria-hidden", "true");
    if (item.numbers.open) fillNumbers(item);
  }

  #resized(entries) {
    const items = [...this.#shown.values()];
    const seen = entries.map((entry) => items.find((item) => item.plot === entry.target));
    const changed = seen.filter((item) => item?.figure && item.width !== item.plot.clientWidth);
    this.show(changed.map((item) => item.figure));
  }

  #make(key) {
    const node = document.getElementById("figure-template").content.firstElementChild.cloneNode(true);
    const find = (name) => node.querySelector(`[data-part=${name}]`);
    const item = { node, hidden: new Set() };
    for (const name of ["title", "plot", "legend", "summary", "numbers"]) item[name] = find(name);
    node.dataset.figure = key;
    item.numbers.addEventListener("toggle", () => item.numbers.open && fillNumbers(item));
    this.root.append(node);
    this.#sizes.observe(item.plot);
    this.#shown.set(key, item);
    return item;
  }

  #remove(key, item) {
    this.#sizes.unobserve(item.plot);
    window.Plotly?.purge(item.plot);
    item.node.remove();
    this.#shown.delete(key);
  }
}

function fillNumbers(item) {
  item.numbers.querySelector("[data-part=table]").replaceChildren(numbersTable(item.figure));
}
