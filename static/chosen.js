// Before anything is drawn: the colours that this reader has chosen. No module, for those come later.
try {
  const chosen = localStorage.getItem("batchnorm-lab.scheme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // There is no storage: the system's colours.
}
if (location.protocol === "file:") document.documentElement.dataset.file = "";
