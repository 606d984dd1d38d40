// How the room talks to the site: JSON there, JSON or a fragment back, refusals as errors that carry words.

import { csrfToken } from "../csrf.js";

export const OFFLINE = "The site does not answer. Try again when the connection is back.";

/** Why something was not done. `status` 0: the site could not be reached. */
export class Refused extends Error {
  constructor(status, body) {
    super(body.detail || "The site answered with an error. Try again in a moment.");
    this.status = status;
    this.code = body.code || "";
    this.fields = body.fields || {};
    this.clock = body.clock;
  }
}

/** fetch with the token and `body` as JSON; the Response if it is a success, else Refused is thrown. */
export async function send(url, { method = "POST", body, signal } = {}) {
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken(), "Content-Type": "application/json" };
  let response;
  try {
    response = await fetch(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { detail: OFFLINE });
  }
  if (!response.ok) throw new Refused(response.status, await response.json().catch(() => ({})));
  return response;
}

/** A fragment of HTML; also one that says what is wrong with an input (422). */
export async function fragment(url, options = {}) {
  let response;
  try {
    response = await fetch(url, { headers: { "X-CSRFToken": csrfToken() }, ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { detail: OFFLINE });
  }
  if (!response.ok && response.status !== 422) throw new Refused(response.status, {});
  return response.text();
}
