// Browser side of the monitor: lost connection, pending requests, dark mode, scrolling of logs.
(() => {
  const LATE = 3500; // ms: three intervals and some time for the reply
  const LOST = 10000; // ms: a reply that takes longer does not hold up the next request
  let lastReply = Date.now();
  let lastRequest = 0;
  let pending = 0;
  const done = () => {
    pending -= 1;
  };
  const fetchUnobserved = window.fetch;
  window.fetch = (...args) => {
    lastRequest = Date.now();
    pending += 1;
    const request = fetchUnobserved(...args);
    // A request is pending until its reply is complete, not until its first byte.
    request.then((reply) => reply.clone().arrayBuffer()).then(done, done);
    return request.then((reply) => {
      if (reply.ok) lastReply = Date.now();
      return reply;
    });
  };
  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.monitor = {
    when_idle: (tick) =>
      pending === 0 || Date.now() - lastRequest > LOST ? tick : window.dash_clientside.no_update,
  };
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const setTheme = () => {
    document.body.dataset.agThemeMode = dark.matches ? "dark" : "light";
  };
  dark.addEventListener("change", setTheme);
  document.addEventListener("DOMContentLoaded", setTheme);
  setInterval(() => {
    document.body.classList.toggle("late", Date.now() - lastReply > LATE);
  }, 500);
  new MutationObserver((changes) => {
    const box = document.querySelector("#log-follow input");
    if (!box || !box.checked) return;
    for (const change of changes) {
      const log = change.target.closest && change.target.closest(".log");
      if (log) log.scrollTop = log.scrollHeight;
    }
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
