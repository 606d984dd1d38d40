// Keys of the room, with Alt, so that they work while one is typing. `code` and not `key`: on some keyboards Alt makes another letter.

const LETTERS = { KeyQ: "ask", KeyR: "run", KeyP: "pin", KeyS: "save" };

/** actions: phase(number from 0), ask, run, pin, save */
export function listenForKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (!event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || document.querySelector("dialog[open]")) return;
    const digit = /^Digit([1-8])$/.exec(event.code);
    const action = digit ? () => actions.phase(Number(digit[1]) - 1) : actions[LETTERS[event.code]];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
