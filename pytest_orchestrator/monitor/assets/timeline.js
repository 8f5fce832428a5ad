// Bars of running steps grow: their end is the variable `--now`, in seconds since the start of the
// axis. It counts from the figure that the server sent, so that the clocks need not agree.
(() => {
  "use strict";
  const root = document.documentElement;
  let sent = 0, at = 0;
  const grow = () => {
    if (sent > 0 && !document.hidden) root.style.setProperty("--now", (sent + (performance.now() - at) / 1000).toFixed(2));
  };
  const shown = () => {
    const now = Number(document.querySelector(".timeline.grow")?.dataset.now ?? 0);
    if (now === sent) return;
    sent = now;
    at = performance.now();
    if (sent > 0) grow(); else root.style.removeProperty("--now");
  };
  document.addEventListener("shown", shown);
  setInterval(grow, 500);
  shown();
})();
