// Requests that write, one after the other. A visitor's first one signs a guest in; two at once would make two guests, and lose the work of one.

let last = Promise.resolve();

/** Calls `send` (which returns a promise) once everything given before has been answered; its promise. */
export function inTurn(send) {
  const turn = last.then(send);
  last = turn.catch(() => {});
  return turn;
}
