// Runs before the page is painted, so that a saved choice of light or dark never flashes.
try {
  const saved = localStorage.getItem("theme");
  if (saved === "light" || saved === "dark") document.documentElement.dataset.theme = saved;
} catch {
  // storage is forbidden: the system's wish holds
}
