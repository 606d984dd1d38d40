// Help popovers open beside their button, and inside the window.

const GAP_PX = 8;

export function placePopovers(root) {
  root.addEventListener("toggle", (event) => event.newState === "open" && place(event.target), { capture: true });
}

function place(popover) {
  const button = document.querySelector(`[popovertarget="${CSS.escape(popover.id)}"]`);
  if (!button) return;
  const at = button.getBoundingClientRect();
  const { width, height } = popover.getBoundingClientRect();
  const left = Math.min(Math.max(GAP_PX, at.left), window.innerWidth - width - GAP_PX);
  const below = at.bottom + GAP_PX;
  const top = below + height > window.innerHeight ? at.top - height - GAP_PX : below;
  popover.style.left = `${left}px`;
  popover.style.top = `${Math.max(GAP_PX, top)}px`;
}
