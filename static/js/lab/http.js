// Requests to the site: the CSRF token as the cookie holds it now, and refusals as errors that carry words.

import { csrfToken } from "../csrf.js";

/** Why the site did not do what was asked. kind: invalid, busy, no_worker, no_redis, limit, offline, error. */
export class Refusal extends Error {
  constructor(kind, message, errors = {}) {
    super(message);
    this.kind = kind;
    this.errors = errors;
  }
}

export const OFFLINE = "The site cannot be reached. Your settings stay as they are; run again when the connection is back.";
const BROKEN = "The site answered with an error. It has been logged; run it again or change a parameter.";

/** POST of form-encoded `body`; the Response when it is a success or a fragment that says what is wrong, otherwise a Refusal is thrown. */
export async function post(url, body, { signal } = {}) {
  let response = await send(url, body, signal);
  if (response.status === 403) response = await send(url, body, signal); // the token changed while the request was on its way
  if (!response.ok && !explains(response)) throw await refusalOf(response);
  return response;
}

function explains(response) {
  return [422, 429, 503].includes(response.status) && (response.headers.get("Content-Type") || "").startsWith("text/html");
}

async function send(url, body, signal) {
  const headers = { "X-CSRFToken": csrfToken(), "HX-Request": "true" };
  return reach(url, { method: "POST", body, headers, signal });
}

/** fetch whose network failures are a Refusal of kind "offline". */
export async function reach(url, options) {
  try {
    return await fetch(url, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("offline", OFFLINE);
  }
}

export async function refusalOf(response) {
  const body = await response.json().catch(() => ({}));
  if (response.status === 422 && body.errors) return new Refusal("invalid", Object.values(body.errors)[0], body.errors);
  return new Refusal(body.kind || "error", body.detail || BROKEN);
}
