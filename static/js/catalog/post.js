// How the pages of a problem write.

import { csrfToken } from "../csrf.js";
import { inTurn } from "../in-turn.js";

const pending = new Set();

/** POSTs form fields, after the writes before it, and resolves to the Response; rejects when the server cannot be reached. */
export function post(url, fields) {
  return inTurn(() => send(url, fields));
}

/** The same at once, for a page that is going away. */
export function send(url, fields, keepalive = false) {
  const headers = { "X-CSRFToken": csrfToken(), Accept: "application/json" };
  return fetch(url, { method: "POST", headers, body: new URLSearchParams(fields), keepalive, redirect: "error" });
}

/** Ordinary forms of the page wait for `flush()`, so that nothing typed is overtaken by leaving. */
export function letFormsWait(flush) {
  document.addEventListener(
    "submit",
    (event) => {
      const { target: form, submitter } = event;
      if (form.matches("[data-notes], [data-clock], [method=get], [method=dialog]") || pending.has(form)) return;
      const work = flush();
      if (!work) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      pending.add(form);
      work.finally(() => form.requestSubmit(submitter)).finally(() => pending.delete(form));
    },
    true,
  );
}
