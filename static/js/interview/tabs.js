// The tools as tabs: arrow keys move, and on narrow screens the answer is a tab as well.

const NARROW = window.matchMedia("(max-width: 62rem)"); // as in room.css

export class Tabs {
  /** onOpen(name) is called whenever a tab is opened. */
  constructor(room, onOpen) {
    this.room = room;
    this.onOpen = onOpen;
    this.list = room.querySelector("[role=tablist]");
    this.tabs = [...this.list.querySelectorAll("[role=tab]")];
    this.list.addEventListener("click", (event) => event.target.closest("[role=tab]") && this.open(event.target.closest("[role=tab]").dataset.tab));
    this.list.addEventListener("keydown", (event) => this.#key(event));
    NARROW.addEventListener("change", () => this.#arrange());
    this.#arrange();
  }

  /** On a narrow screen one thing is seen at a time, first the answer; on a wide one a tool stands beside it. */
  #arrange() {
    this.room.classList.toggle("is-narrow", NARROW.matches);
    if (NARROW.matches) this.open(this.current && this.touched ? this.current : "answer");
    else this.open(this.current && this.current !== "answer" ? this.current : "talk");
  }

  open(name, { focus = false } = {}) {
    this.touched = this.current !== undefined;
    this.current = name;
    this.room.dataset.pane = name === "answer" ? "answer" : "tools";
    for (const tab of this.tabs) {
      const chosen = tab.dataset.tab === name;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      if (chosen) tab.removeAttribute("data-news");
      const panel = tab.dataset.tab === "answer" ? null : document.getElementById(tab.getAttribute("aria-controls"));
      if (panel && name !== "answer") panel.hidden = !chosen;
      if (chosen && focus) (panel ?? tab).focus();
    }
    this.onOpen(name);
  }

  /** Shows the answer again on a narrow screen. */
  answer() {
    if (NARROW.matches) this.open("answer");
  }

  /** A dot on a tab that is not open. */
  news(name) {
    const tab = this.tabs.find((item) => item.dataset.tab === name);
    if (this.current !== name) tab.dataset.news = "";
  }

  #key(event) {
    const shown = this.tabs.filter((tab) => tab.offsetParent !== null);
    const at = shown.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: shown.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const tab = shown[(to + shown.length) % shown.length];
    this.open(tab.dataset.tab);
    tab.focus();
  }
}
