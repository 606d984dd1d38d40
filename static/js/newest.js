// Of requests that overlap the newest is shown, in whatever order the answers come.

/** For choices: each call gives a signal for a new request and calls the one before off, which then rejects with an AbortError. */
export function superseding() {
  let asked;
  return () => {
    asked?.abort();
    asked = new AbortController();
    return asked.signal;
  };
}

/** For looking at what changes: `look`, never twice at once. Who asks while it runs gets the result of one more, begun after that. */
export function oneAtATime(look) {
  let running = null;
  let next = null;
  const begin = () => {
    next = null;
    running = look().finally(() => (running = null));
    return running;
  };
  return () => (running ? (next ??= running.then(begin, begin)) : begin());
}
