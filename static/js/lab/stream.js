// A run's events: the POST that starts it answers with a stream; when that breaks, the run's own address resumes it.

import { OFFLINE, Refusal, post, reach, refusalOf } from "./http.js";

const TERMINAL = new Set(["done", "failed", "cancelled", "lost", "expired"]);
const RETRY_MS = [250, 500, 1000, 2000, 4000, 4000, 4000, 4000];

/** Starts a run and calls onEvent(kind, data) for each event until the last. Throws Refusal, or AbortError when `signal` fires. */
export async function startRun(url, body, { signal, onEvent }) {
  const response = await post(url, body, { signal });
  const cursor = { lastId: "", eventsUrl: "", ended: false };
  await drain(response, cursor, onEvent, signal);
  await resume(cursor, onEvent, signal);
}

/** Follows a run that was started elsewhere, from its first event. */
export async function followRun(eventsUrl, { signal, onEvent }) {
  await resume({ lastId: "", eventsUrl, ended: false }, onEvent, signal);
}

async function resume(cursor, onEvent, signal) {
  for (let attempt = 0; !cursor.ended; attempt += 1) {
    if (!cursor.eventsUrl || attempt >= RETRY_MS.length) throw new Refusal("offline", OFFLINE);
    if (attempt > 0) await pause(RETRY_MS[attempt], signal);
    if (await reattach(cursor, onEvent, signal)) attempt = 0;
  }
}

/** One attempt to go on where the stream broke; true when at least one event came. */
async function reattach(cursor, onEvent, signal) {
  const headers = cursor.lastId ? { "Last-Event-ID": cursor.lastId } : {};
  try {
    const response = await reach(cursor.eventsUrl, { headers, signal });
    if (response.status >= 500) return false;
    if (!response.ok) throw await refusalOf(response);
    return await drain(response, cursor, onEvent, signal);
  } catch (error) {
    if (error.kind === "offline") return false;
    throw error;
  }
}

/** Hands on the events of one response; a connection that breaks ends it quietly, the cursor knows how far it came. */
async function drain(response, cursor, onEvent, signal) {
  let came = false;
  try {
    for await (const event of parseEvents(response.body)) {
      came = true;
      cursor.lastId = event.id || cursor.lastId;
      cursor.eventsUrl = event.data.events_url || cursor.eventsUrl;
      cursor.ended = TERMINAL.has(event.kind);
      onEvent(event.kind, event.data);
      if (cursor.ended) break;
    }
  } catch (error) {
    if (signal?.aborted || !(error instanceof TypeError)) throw error;
  }
  return came;
}

/** Server-sent events of a byte stream as {id, kind, data}; comments and incomplete last events are dropped. */
export async function* parseEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (buffer + value).replaceAll("\r\n", "\n").split("\n\n");
      buffer = blocks.pop();
      for (const block of blocks) {
        const event = parseBlock(block);
        if (event) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // also tells the server when we stop half-way
  }
}

function parseBlock(block) {
  const fields = { id: "", event: "message", data: [] };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") fields.data.push(value);
    else if (name in fields) fields[name] = value;
  }
  return fields.data.length ? { id: fields.id, kind: fields.event, data: JSON.parse(fields.data.join("\n")) } : null;
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    }, { once: true });
  });
}
