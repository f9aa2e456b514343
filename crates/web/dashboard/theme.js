// The colours that were chosen, before anything is painted: a classic script, so that no page flashes.

try {
  const chosen = localStorage.getItem('stockd-theme');
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing has the colours of the system.
}
