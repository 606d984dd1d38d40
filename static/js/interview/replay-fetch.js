// One request at a time; what is asked for meanwhile waits, and only the last of it is fetched.

export class Fetcher {
  constructor(url, onMoment, onError) {
    Object.assign(this, { url, onMoment, onError, wanted: null, busy: false });
  }

  want(ms) {
    this.wanted = ms;
    if (!this.busy) this.#run();
  }

  async #run() {
    this.busy = true;
    while (this.wanted !== null) {
      const ms = this.wanted;
      this.wanted = null;
      try {
        const answer = await fetch(`${this.url}?ms=${ms}`, { credentials: "same-origin" });
        if (!answer.ok) throw new Error(String(answer.status));
        this.onMoment(await answer.text());
      } catch {
        this.onError();
      }
    }
    this.busy = false;
  }
}
