// Copies on this device of what the server has not confirmed. Each page keeps its own, so that no other page, nor this one after a
// reload, can write over what an earlier one left. A copy goes only when the server holds what it says.

const PREFIX = "loop45:";

const random = () => [...crypto.getRandomValues(new Uint32Array(3))].map((part) => part.toString(36)).join("");

/** A short name nobody else has: of a write, a tab, a page. */
export const newId = random;

export class Mirror {
  /** `storage` is localStorage or like it, null where there is none. */
  constructor(attempt, storage, page = random()) {
    this.attempt = attempt;
    this.storage = storage;
    this.page = page;
    this.works = storage !== null;
  }

  #key(field) {
    return `${PREFIX}${this.attempt}:${field}:${this.page}`;
  }

  /** Keeps {base_rev, content, at, op}; whether it could: private windows and full disks refuse. */
  write(field, copy) {
    try {
      this.storage.setItem(this.#key(field), JSON.stringify(copy));
      this.works = true;
    } catch {
      this.works = false;
    }
    return this.works;
  }

  clear(field) {
    this.#remove(this.#key(field));
  }

  /** Removes a copy that an earlier page left, unless it says something else by now; whether it is gone. */
  forget({ key, content }) {
    const now = this.read(key);
    if (now && now.content !== content) return false;
    this.#remove(key);
    return true;
  }

  #remove(key) {
    try {
      this.storage.removeItem(key);
    } catch {
      // nothing can be removed where nothing may be stored
    }
  }

  /** Copies of this field that earlier pages left, oldest first: [{key, base_rev, content, at, op}]. */
  left(field) {
    return this.#left(`${PREFIX}${this.attempt}:${field}:`);
  }

  /** One of those copies as it is now, null if it has gone: the page that made it may still be there. */
  read(key) {
    try {
      const text = this.storage.getItem(key);
      return text && { key, ...JSON.parse(text) };
    } catch {
      return null;
    }
  }

  /** Fields of which earlier pages left copies, such as rows that never reached the server. */
  fields() {
    const start = `${PREFIX}${this.attempt}:`;
    return [...new Set(this.#left(start).map(({ key }) => key.slice(start.length, key.lastIndexOf(":"))))];
  }

  #left(start) {
    try {
      const keys = Array.from({ length: this.storage.length }, (_, number) => this.storage.key(number));
      const others = keys.filter((key) => key.startsWith(start) && !key.endsWith(`:${this.page}`));
      return others.map((key) => this.read(key)).filter(Boolean).sort((one, other) => one.at - other.at);
    } catch {
      return [];
    }
  }
}

/** localStorage, or null where the browser forbids it. */
export function localStore() {
  try {
    localStorage.setItem(`${PREFIX}probe`, "1");
    localStorage.removeItem(`${PREFIX}probe`);
    return localStorage;
  } catch {
    return null;
  }
}
