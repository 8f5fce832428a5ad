// Live pages: a stream says that the page has changed; the page requests itself again, and only
// what differs is replaced, so that focus, selection and scroll positions stay.
(() => {
  "use strict";
  const root = document.documentElement;
  const LEAST = 300; // ms between two requests; a page that takes long leaves three times as much
  let stream = null, ended = false, version = root.dataset.version, pending = false, again = false, last = 0, took = 0, lost = 0, held = false;

  const morphing = {
    morphStyle: "outerHTML",
    // Without this condition, the content of a focused box that scrolls would stay as it was.
    get ignoreActiveValue() { return document.activeElement?.matches("input, select, textarea") ?? false; },
    callbacks: {
      // A form that is being filled in stays as it is while its question is open, and a log as
      // long as its reader has scrolled up.
      beforeNodeMorphed: (node, next) =>
        !(node.dataset?.keep && node.dataset.keep === next.dataset?.keep) && !(held && node.matches?.("[data-follow], .log-pager")),
      // What the reader has opened or closed stays so.
      beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS"),
    },
  };

  const show = (text) => {
    const next = new DOMParser().parseFromString(text, "text/html");
    const page = next.getElementById("page");
    if (!page) return;
    const ends = [...document.querySelectorAll("[data-follow]")].filter(atEnd);
    const log = document.querySelector("[data-follow]");
    held = Boolean(log) && !atEnd(log) && page.querySelector("[data-follow]")?.dataset.follow === log.dataset.follow;
    document.title = next.title;
    const icon = next.getElementById("favicon"), own = document.getElementById("favicon");
    if (icon && own.href !== icon.href) own.href = icon.href;
    Idiomorph.morph(document.getElementById("page"), page, morphing);
    version = root.dataset.version = next.documentElement.dataset.version;
    set(next.documentElement);
    if (!ended && root.dataset.events !== next.documentElement.dataset.events) {
      root.dataset.events = next.documentElement.dataset.events;
      listen();
    }
    follow(ends);
    document.dispatchEvent(new Event("shown"));
    count();
  };
  // A log that is opened at its end starts there, and stays there until the reader scrolls.
  const opened = new WeakMap();
  const follow = (ends) => {
    for (const one of document.querySelectorAll("[data-follow]")) {
      if (ends.includes(one) || opened.get(one) !== one.dataset.follow) one.scrollTop = one.scrollHeight;
      opened.set(one, one.dataset.follow);
    }
  };
  document.addEventListener("scroll", ({ target }) => {
    if (held && target.matches?.("[data-follow]") && atEnd(target)) { held = false; refresh(); }
  }, true);
  const atEnd = (one) => one.scrollTop + one.clientHeight >= one.scrollHeight - 4;

  // Of several requests the last one counts: the reply to an earlier one may arrive later.
  let asked = 0;
  const load = async (url) => {
    const mine = (asked += 1);
    const reply = await fetch(url, { headers: { Accept: "text/html" } });
    const text = await reply.text();
    if (mine !== asked) return;
    if (reply.redirected) history.replaceState(null, "", reply.url);
    show(text);
  };

  // One request at a time; changes that arrive meanwhile cause one more.
  const refresh = async () => {
    if (pending) { again = true; return; }
    pending = true;
    const wait = last + Math.max(LEAST, 4 * took) - Date.now();
    if (wait > 0) await new Promise((done) => setTimeout(done, wait));
    if (ended) return; // `end` takes the last state
    again = false;
    last = Date.now();
    try { await load(location.href); } catch { /* the stream reports the lost connection */ }
    took = Date.now() - last;
    pending = false;
    if (again) refresh();
  };

  const connected = (is) => {
    clearTimeout(lost);
    const note = document.getElementById("lost");
    if (is) note.hidden = true;
    else lost = setTimeout(() => { note.hidden = false; }, 2500);
  };

  const listen = () => {
    stream?.close();
    stream = null;
    if (!root.dataset.events) { connected(true); return; }
    stream = new EventSource(root.dataset.events);
    stream.onopen = () => connected(true);
    stream.onmessage = ({ data }) => { if (data !== version) refresh(); };
    stream.onerror = () => connected(false);
    stream.addEventListener("end", () => { stream.close(); stream = null; });
    stream.addEventListener("bye", ({ data }) => end(data));
  };

  // The monitor ends: the page takes the last state and the report, and confirms it.
  const end = async (confirmation) => {
    stream.close();
    stream = null;
    ended = true;
    try {
      await load(location.href);
      for (const link of document.querySelectorAll("a.report")) {
        const report = await fetch(link.href);
        if (!report.ok) continue;
        link.href = URL.createObjectURL(await report.blob());
        link.download = "report.html";
      }
      await fetch(confirmation);
    } catch { /* the page stays as it is */ }
    connected(true);
    document.getElementById("ended").hidden = false;
  };

  // Links within the monitor are followed without a new page, so that lists stay where they are.
  const inside = (url) => url.origin === location.origin && !/^\/(assets|run\/[^/]+\/file)\//.test(url.pathname);
  const go = async (url, push) => {
    if (ended) return;
    if (push) history.pushState(null, "", url);
    try { await load(url); } catch { location.href = url; return; }
    if (push && url.hash) document.getElementById(decodeURIComponent(url.hash.slice(1)))?.scrollIntoView();
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || link.target || link.hasAttribute("download")) return;
    const url = new URL(link.href, location.href);
    if (!inside(url) || (url.pathname === location.pathname && url.search === location.search && url.hash)) return;
    event.preventDefault();
    go(url, true);
  });
  addEventListener("popstate", () => go(new URL(location.href), false));

  // Forms with GET: a choice and a search change the address.
  const submit = (form, replace) => {
    const url = new URL(form.action, location.href);
    const kept = new URLSearchParams(form.classList.contains("chosen") ? "" : undefined);
    for (const [name, value] of new FormData(form)) if (value) kept.append(name, value);
    url.search = kept.toString();
    if (replace) { history.replaceState(null, "", url); go(url, false); } else go(url, true);
  };
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "get") return;
    event.preventDefault();
    submit(event.target, false);
  });
  document.addEventListener("change", (event) => {
    if (event.target.closest("form.chosen")) submit(event.target.form, false);
  });
  let typing = 0;
  document.addEventListener("input", (event) => {
    if (!event.target.closest("form.search")) return;
    clearTimeout(typing);
    typing = setTimeout(() => submit(event.target.form, true), 250);
  });

  // j and k move along the rows of a list; / goes to the search field.
  const move = (links, way) => {
    const at = links.indexOf(document.activeElement);
    const next = links[at < 0 ? (way > 0 ? 0 : links.length - 1) : at + way];
    if (!next) return;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const act = {
      j: () => move([...document.querySelectorAll(".row-link")], 1),
      k: () => move([...document.querySelectorAll(".row-link")], -1),
      "/": () => document.querySelector("form.search input[type=search]")?.focus(),
      Escape: () => document.querySelector(".step.open > .row")?.click(),
    }[event.key];
    // The page of a run has these keys for its steps.
    if (!act || (event.key !== "Escape" && document.getElementById("steps"))) return;
    if (event.key !== "Escape") event.preventDefault();
    act();
  });

  // Times that grow while a step runs, or shrink while a question waits.
  const words = (seconds) => {
    if (seconds < 60) return `${seconds.toFixed(1)} s`;
    const [m, h] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
    return h ? `${h} h ${m % 60} min` : `${m} min ${Math.floor(seconds % 60)} s`;
  };
  // The clock of the monitor counts: that of a phone may be minutes off.
  let behind = 0;
  const set = (page) => { behind = page.dataset.now - Date.now() / 1000; };
  const count = () => {
    for (const one of document.querySelectorAll("[data-since]"))
      one.textContent = words(Math.max(0, Date.now() / 1000 + behind - one.dataset.since));
    for (const one of document.querySelectorAll("[data-until]"))
      one.textContent = words(Math.max(0, one.dataset.until - Date.now() / 1000 - behind));
  };
  setInterval(count, 1000);

  set(root);
  document.dispatchEvent(new Event("shown"));
  follow([]);
  count();
  listen();
})();
