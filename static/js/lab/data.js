// The user's own data: upload with progress, the mapping of columns, the choice between data sets, deletion.

import { csrfToken } from "../csrf.js";
import { fillSlots } from "./fragments.js";
import { OFFLINE, post } from "./http.js";

const HEAD_BYTES = 256 * 1024; // enough of a table to read its column names
const TEXT = /\.(csv|tsv|txt|jsonl?)$/i;
const MB = 2 ** 20;

export class DataPanel {
  constructor(root, { dataUrl, columnsUrl, onChoice }) {
    this.root = root;
    this.dataUrl = dataUrl;
    this.columnsUrl = columnsUrl;
    this.onChoice = onChoice;
    this.form = root.querySelector("form");
    this.bar = this.form.querySelector("progress");
    this.words = this.form.querySelector("[data-part=words]");
    this.form.addEventListener("submit", (event) => this.#upload(event));
    this.form.addEventListener("change", (event) => event.target.type === "file" && this.#offerColumns(event.target));
    root.addEventListener("change", (event) => event.target.name === "dataset" && onChoice());
    root.addEventListener("click", (event) => {
      const button = event.target.closest("[data-delete]");
      if (button) this.#delete(button);
    });
  }

  /** Id of the chosen data set, "" for the synthetic world. */
  get chosen() {
    return this.root.querySelector("input[name=dataset]:checked")?.value ?? "";
  }

  async #offerColumns(input) {
    const selects = this.form.querySelectorAll(`select[data-columns-of="${CSS.escape(input.name)}"]`);
    const [file] = input.files;
    if (!selects.length || !file) return;
    const body = new FormData();
    body.append(input.name, TEXT.test(file.name) ? file.slice(0, HEAD_BYTES) : file, file.name); // Parquet keeps its columns at the end
    try {
      const response = await post(this.columnsUrl, body);
      const { columns } = await response.json();
      for (const select of selects) fillSelect(select, columns);
      this.#say("");
    } catch (refusal) {
      this.#say(refusal.message);
    }
  }

  #upload(event) {
    event.preventDefault();
    const tooLarge = this.#tooLarge();
    if (tooLarge) return this.#say(tooLarge);
    const request = new XMLHttpRequest(); // fetch cannot tell how much of a body has been sent
    request.open("POST", this.dataUrl);
    request.setRequestHeader("X-CSRFToken", csrfToken());
    request.setRequestHeader("HX-Request", "true");
    request.upload.addEventListener("progress", ({ loaded, total }) => this.#progress(loaded, total));
    request.addEventListener("load", () => this.#uploaded(request));
    request.addEventListener("error", () => this.#stop(OFFLINE));
    this.bar.hidden = false;
    this.bar.removeAttribute("value");
    this.#busy(true);
    request.send(new FormData(this.form));
  }

  /** A sentence about the first file over its limit, "" when all fit. The server checks as well; this spares the hour of sending. */
  #tooLarge() {
    for (const input of this.form.querySelectorAll("input[type=file]")) {
      const [file] = input.files;
      const limit = Number(input.dataset.maxBytes);
      if (file && file.size > limit) return `${file.name} has ${inMb(file.size)} MB; at most ${inMb(limit)} MB are accepted. Nothing was sent.`;
    }
    return "";
  }

  #progress(loaded, total) {
    this.bar.value = loaded / total;
    const sent = loaded === total ? "Checking the file" : `${(loaded / MB).toFixed(1)} of ${(total / MB).toFixed(1)} MB sent`;
    this.#say(sent);
  }

  #uploaded(request) {
    const isFragment = (request.getResponseHeader("Content-Type") || "").startsWith("text/html");
    if (!isFragment || request.status >= 500) return this.#stop(detailOf(request) || "The file could not be stored. Nothing was kept; try again.");
    this.#stop("");
    fillSlots(this.root, request.responseText);
    if (request.status !== 200) return;
    this.form.reset();
    this.onChoice();
  }

  async #delete(button) {
    const wasChosen = this.chosen === button.dataset.id;
    try {
      const response = await post(button.dataset.delete, new URLSearchParams());
      const chosen = this.chosen;
      fillSlots(this.root, await response.text());
      this.root.querySelector(`input[name=dataset][value="${CSS.escape(chosen)}"]`)?.click();
      if (wasChosen) this.onChoice();
    } catch (refusal) {
      this.#say(refusal.message);
    }
  }

  #stop(words) {
    this.bar.hidden = true;
    this.#busy(false);
    this.#say(words);
  }

  #busy(value) {
    this.form.querySelector("button[type=submit]").disabled = value;
    this.form.setAttribute("aria-busy", String(value));
  }

  #say(words) {
    this.words.textContent = words;
  }
}

function inMb(bytes) {
  return Math.ceil(bytes / MB).toLocaleString("en");
}

function detailOf(request) {
  try {
    return JSON.parse(request.responseText).detail;
  } catch {
    return "";
  }
}

function fillSelect(select, columns) {
  const key = select.name.replace("option-", "").toLowerCase();
  const before = select.value || select.dataset.default || columns.find((name) => name.toLowerCase() === key);
  const blank = select.multiple ? [] : [new Option("None", "")];
  select.replaceChildren(...blank, ...columns.map((name) => new Option(name, name, false, name === before)));
  select.disabled = false;
}
