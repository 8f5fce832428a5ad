// What the server cannot know: whether it answers, whether it is dark here, where a log is scrolled.
(() => {
  const LATE = 3500; // three intervals, and some time for the answer
  const LOST = 10000; // an answer that takes longer is not waited for
  let answered = Date.now();
  let asked = 0;
  let open = 0;
  const done = () => {
    open -= 1;
  };
  const ask = window.fetch;
  window.fetch = (...words) => {
    asked = Date.now();
    open += 1;
    const asking = ask(...words);
    // The whole answer, not its first byte.
    asking.then((answer) => answer.clone().arrayBuffer()).then(done, done);
    return asking.then((answer) => {
      if (answer.ok) answered = Date.now();
      return answer;
    });
  };
  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.monitor = {
    once_answered: (pulse) =>
      open === 0 || Date.now() - asked > LOST ? pulse : window.dash_clientside.no_update,
  };
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const look = () => {
    document.body.dataset.agThemeMode = dark.matches ? "dark" : "light";
  };
  dark.addEventListener("change", look);
  document.addEventListener("DOMContentLoaded", look);
  setInterval(() => {
    document.body.classList.toggle("late", Date.now() - answered > LATE);
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
