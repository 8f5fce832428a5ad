// Set the theme that the reader chose before the page is drawn.
"use strict";
document.documentElement.classList.add("scripted");
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {}
