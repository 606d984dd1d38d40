// How a typed number is read, while it is typed. The server reads it; no attempt is used.

const WAIT_MS = 150;

/** Shows below `input` how its text is read. Answers that arrive late, after more was typed, are dropped. */
export function numberEcho(input) {
  if (!input) return;
  const line = document.getElementById("number-read");
  const help = line.textContent;
  let waiting = 0;
  let asked = 0;
  const show = (words, bad) => {
    line.textContent = words;
    line.classList.toggle("is-bad", bad);
  };
  const ask = async () => {
    const number = ++asked;
    const text = input.value.trim();
    if (!text) return show(help, false);
    try {
      const response = await fetch(`${input.dataset.read}?${new URLSearchParams({ text })}`, { headers: { Accept: "application/json" } });
      const { read, note, error } = await response.json();
      if (number === asked) show(error ?? `Read as ${read}.${note ? ` ${note}` : ""}`, Boolean(error));
    } catch {
      if (number === asked) show("The site cannot be reached; what you typed stays here.", true);
    }
  };
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, WAIT_MS);
  });
  if (input.value) ask();
}
