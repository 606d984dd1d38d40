// The stream of an attempt: what happened, as it happens. A page without the lease opens none; without a stream the clock's own
// questions once a minute bring the same.

const KINDS = ["clock", "prompt", "curveball", "message", "lease", "presence", "hand", "closed"];

export class News {
  /** handlers: onNews(kind, data), onBack() after a connection was lost and found again */
  constructor(config, handlers) {
    Object.assign(this, { config, handlers, after: config.lastSeq });
  }

  start() {
    if (this.source || this.over) return;
    let broken = false;
    const source = new EventSource(`${this.config.base}stream?after=${this.after}`);
    this.source = source;
    source.onerror = () => (broken = true);
    source.onopen = () => {
      if (broken) this.handlers.onBack();
      broken = false;
    };
    for (const kind of KINDS) source.addEventListener(kind, (event) => this.#heard(kind, event));
  }

  stop() {
    this.source?.close();
    this.source = null;
  }

  #heard(kind, event) {
    const data = JSON.parse(event.data);
    if (event.lastEventId) this.after = Number(event.lastEventId);
    if (kind === "closed") {
      this.over = true;
      this.stop();
    }
    this.handlers.onNews(kind, data);
  }
}
