// What the server cannot know: whether it answers, whether it is dark here, where a log is scrolled.
(() => {
  const LATE = 3500; // three intervals, and some time for the answer
  let answered = Date.now();
  const ask = window.fetch;
  window.fetch = (...words) =>
    ask(...words).then((answer) => {
      if (answer.ok) answered = Date.now();
      return answer;
    });
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
