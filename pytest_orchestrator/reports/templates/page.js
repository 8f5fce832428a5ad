(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("scripted");
  let data = {};
  const readData = () => { data = JSON.parse(document.getElementById("data")?.textContent ?? "{}"); };
  readData();
  const all = () => document.getElementById("steps");
  // On the page that the monitor renders, the list of the steps is searched and sorted there.
  const section = document.querySelector("#steps:not([data-live])");
  const numbers = new Set(["order", "seconds", "cpu", "peak"]);
  const names = ["order", "name", "state", "seconds", "cpu", "peak", "wrote", "tags", "of", "reason"];
  let list = null, later = 0, show = () => {};

  // The theme is that of the system until the reader chooses one.
  const themes = ["auto", "light", "dark"];
  const stored = (value) => { try { return value ? localStorage.setItem("theme", value) : localStorage.getItem("theme"); } catch { return null; } };
  const setTheme = (theme) => { if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme; };
  let theme = themes.includes(stored()) ? stored() : "auto";
  setTheme(theme);
  const labelTheme = () => { for (const one of document.querySelectorAll("button.theme")) one.textContent = `Theme: ${theme}`; };
  labelTheme();
  document.addEventListener("click", (event) => {
    if (!event.target.closest("button.theme")) return;
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    setTheme(theme);
    stored(theme);
    labelTheme();
  });

  // The hash is the anchor of a step or section, then filters: #recipes/a.yaml::x?state=failed&q=ripple
  const place = () => {
    const [anchor, query = ""] = location.hash.slice(1).split("?");
    return { anchor, query: new URLSearchParams(query) };
  };
  const keep = (anchor, query) => {
    const text = query.toString().replaceAll("%2C", ",");
    const hash = anchor + (text ? `?${text}` : "");
    if (hash !== location.hash.slice(1)) history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  };

  const remember = (changes) => {
    const { anchor, query } = place();
    for (const [name, value] of Object.entries(changes)) if (value) query.set(name, value); else query.delete(name);
    keep(anchor, query);
  };

  // On a large page, the panel of a step is text until the step is opened.
  const packed = (step) => step.querySelector(":scope > .panel > noscript");
  const unpack = (step) => { const text = packed(step); if (text) text.parentElement.innerHTML = text.textContent; };
  const marks = { "&lt;": "<", "&gt;": ">", "&#34;": '"', "&#39;": "'", "&amp;": "&" };
  const words = (step) => {
    const text = packed(step);
    if (!text) return step.textContent;
    const plain = text.textContent.replace(/<[^>]*>/g, " ").replace(/&(?:lt|gt|amp|#34|#39);/g, (one) => marks[one]);
    return `${step.querySelector("summary").textContent} ${plain}`;
  };

  if (section) {
    const groups = [...section.querySelectorAll(".list > .group")];
    for (const one of groups) one.remove();
    list = new List(section, {
      valueNames: [{ data: names }],
      page: Number.MAX_SAFE_INTEGER,
      sortFunction: (a, b, { valueName }) => {
        const [one, other] = [a.values()[valueName], b.values()[valueName]];
        return numbers.has(valueName) ? one - other : one.localeCompare(other, undefined, { numeric: true });
      },
    });
    const shown = section.querySelector(".shown"), none = section.querySelector(".none");
    const [states, selects] = [[...section.querySelectorAll("[data-state][aria-pressed]")], [...section.querySelectorAll("select")]];
    const text = section.querySelector(".find");
    const recipes = data.recipes;
    const sorted = () => section.querySelector(".sort.asc, .sort.desc");
    const showGroups = () => {
      for (const one of groups) one.remove();
      const by = sorted();
      section.classList.toggle("sorted", Boolean(groups.length && by && !(by.dataset.sort === "order" && by.classList.contains("asc"))));
      if (section.classList.contains("sorted")) {
        for (const { elm } of list.visibleItems)
          if (!elm.querySelector(".of.added")) {
            const of = document.createElement("span");
            of.className = "of added";
            of.textContent = ` ${recipes[elm.dataset.of]}`;
            elm.querySelector(".name").after(of);
          }
        return;
      }
      const heads = new Map(groups.map((one) => [one.dataset.of, one]));
      for (const { elm } of list.visibleItems) {
        const head = heads.get(elm.dataset.of);
        if (head) { elm.before(head); heads.delete(elm.dataset.of); }
      }
    };
    const showCount = () => {
      const all = list.items.length, some = list.matchingItems.length;
      shown.textContent = some === all ? `${all}` : `${some} of ${all}`;
      none.hidden = some > 0;
      for (const button of section.querySelectorAll(".sort")) {
        const way = button.classList.contains("asc") ? "ascending" : button.classList.contains("desc") ? "descending" : "";
        if (way) button.setAttribute("aria-label", `${button.textContent}, sorted ${way}`);
        else button.removeAttribute("aria-label");
      }
      showGroups();
    };
    list.on("updated", showCount);
    showCount();
    const content = (item) => (item.content ??= [words(item.elm), item.values().tags, recipes[item.values().of] ?? ""].join(" ").toLowerCase());
    const filter = () => {
      const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
      const pressed = new Set(states.filter((one) => one.ariaPressed === "true").map((one) => one.dataset.state));
      const [tag, of] = ["tag", "of"].map((id) => document.getElementById(id)?.value ?? "");
      list.filter((item) => {
        const values = item.values();
        if ((pressed.size && !pressed.has(values.state)) || (of && values.of !== of)) return false;
        if (tag && !values.tags.split(" ").includes(tag)) return false;
        return words.every((word) => content(item).includes(word));
      });
      remember({ state: [...pressed].join(","), q: text.value, tag, recipe: of && recipes[of] });
    };
    // Set the controls to the filters of the address; without any, to none.
    show = (query) => {
      const chosen = new Set((query.get("state") ?? "").split(","));
      for (const one of states) one.ariaPressed = String(chosen.has(one.dataset.state));
      text.value = query.get("q") ?? "";
      for (const one of selects) one.value = one.id === "tag" ? (query.get("tag") ?? "") : String(Math.max(-1, recipes.indexOf(query.get("recipe"))));
      for (const one of selects) if (one.selectedIndex < 0) one.value = "";
      filter();
    };
    for (const one of states)
      one.addEventListener("click", () => {
        one.ariaPressed = one.ariaPressed === "true" ? "false" : "true";
        filter();
      });
    for (const one of selects) one.addEventListener("change", filter);
    text.addEventListener("input", () => { clearTimeout(later); later = setTimeout(filter, list.items.length > 300 ? 250 : 0); });
    none.querySelector("button").addEventListener("click", () => show(new URLSearchParams()));
  }

  const complete = (step) => { unpack(step); addLink(step); addSearch(step); };
  document.addEventListener("toggle", ({ target }) => {
    if (!target.open || !target.classList?.contains("step")) return;
    complete(target);
    if (ready && section && target.contains(document.activeElement)) keep(target.id, place().query);
  }, true);

  // A field that sifts the lines of a long log.
  function addSearch(step) {
    for (const log of step.querySelectorAll(".log")) {
      const lines = log.querySelectorAll(".numbered i");
      if (lines.length < 20 || log.querySelector(".in-log")) continue;
      const field = document.createElement("input"), count = document.createElement("span");
      Object.assign(field, { type: "search", className: "in-log", placeholder: `Search ${lines.length} lines`, ariaLabel: `Search the lines of ${log.querySelector("b").textContent}` });
      count.className = "quiet";
      count.ariaLive = "polite";
      field.addEventListener("input", () => {
        const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
        let some = 0;
        for (const line of lines) {
          const text = line.textContent.toLowerCase();
          line.style.display = words.every((word) => text.includes(word)) ? "" : "none";
          some += !line.style.display;
        }
        count.textContent = words.length ? ` ${some} of ${lines.length}` : "";
      });
      log.querySelector("p").append(field, count);
    }
  }

  function addLink(step) {
    const line = step.querySelector(":scope > .panel > .quiet");
    if (!line || line.querySelector(".copy")) return;
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "copy", textContent: "Copy link" });
    button.dataset.copy = `${location.href.split("#")[0]}#${step.id}`;
    line.append(" ", button);
  }

  // Open the target of the address, and the parts that it is in, even if a filter hides it.
  let ready = false;
  const reveal = () => {
    const { anchor, query } = place();
    if (section && (query.size || !anchor)) show(query);
    wire();
    const item = list?.items.find((one) => one.elm.id === anchor);
    if (item && !item.elm.isConnected) show(new URLSearchParams());
    const line = /^L(\d+)/.exec(anchor)?.[1];
    if (line) unpack(all()?.querySelector(`.step[data-order="${line}"]`) ?? root);
    if (item) unpack(item.elm);
    const target = item?.elm ?? document.getElementById(anchor);
    if (!target) return;
    if (openStep(target)) return;
    for (let one = target; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
    target.scrollIntoView({ block: "start" });
    target.querySelector("summary, .row")?.focus({ preventScroll: true });
  };
  addEventListener("hashchange", reveal);
  // The monitor sends the panel of a step when its link is followed.
  const openStep = (step) => {
    const link = step.matches("div.step:not(.open)") && step.querySelector("a.row-link");
    if (link) link.click();
    return Boolean(link);
  };

  // j and k: next and previous step; n and p: next and previous failure; /: search.
  const go = (steps, way) => {
    const shown = steps.filter((one) => one.isConnected);
    const here = document.activeElement?.closest(".step");
    const at = shown.indexOf(here);
    let next = shown[way > 0 ? at + 1 : at < 0 ? shown.length - 1 : at - 1];
    if (here && at < 0) {
      const after = (one) => here.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING;
      next = way > 0 ? shown.find(after) : shown.findLast((one) => !after(one));
    }
    if (!next) return null;
    next.querySelector(".row").focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
    return next;
  };
  document.addEventListener("keydown", (event) => {
    if (!all() || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const steps = [...all().querySelectorAll(".step")];
    const failed = steps.filter((one) => one.matches(".failed, [data-state=interrupted]"));
    const act = {
      j: () => go(steps, 1), k: () => go(steps, -1),
      n: () => goFailed(failed, 1), p: () => goFailed(failed, -1),
      "/": () => { const text = all().querySelector("input[type=search]"); text.focus(); text.scrollIntoView({ block: "nearest" }); },
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  const goFailed = (steps, way) => {
    const next = go(steps, way);
    if (!next || openStep(next)) return;
    next.open = true;
    next.scrollIntoView({ block: "start" });
    keep(next.id, place().query);
  };

  const copy = async (text, button) => {
    const label = (button.dataset.label ??= button.textContent);
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      button.textContent = document.execCommand("copy") ? "Copied" : "Not copied";
      area.remove();
    }
    setTimeout(() => (button.textContent = label), 1500);
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (link && link.getAttribute("href") === location.hash) reveal();
    const button = event.target.closest("button.copy");
    if (button) copy(button.dataset.copy, button);
  });

  // The first failed step of a graph is in sight, also where the graph is larger than its box.
  const aim = (box) => {
    const failed = [...box.querySelectorAll(".box.failed")].find((one) => one.getClientRects().length);
    if (!failed) return;
    const [one, frame] = [failed.getBoundingClientRect(), box.getBoundingClientRect()];
    if (one.bottom > frame.bottom) box.scrollTop += one.top - frame.top - 40;
    if (one.right > frame.right) box.scrollLeft += one.left - frame.left - 40;
  };
  document.querySelectorAll(".graph-box").forEach(aim);
  for (const one of document.querySelectorAll("details.recipe"))
    one.addEventListener("toggle", () => one.open && one.querySelectorAll(".graph-box").forEach(aim));

  // The table of all measurements: its search, filter and order are in the address, too.
  const value = (row, at) => { const { dataset, textContent } = row.cells[at]; return "by" in dataset ? dataset.by : textContent; };
  const inOrder = (rows, at, way, numeric) => rows.sort((a, b) => {
    const [one, other] = [value(a, at), value(b, at)];
    if (!one || !other) return (one ? 0 : 1) - (other ? 0 : 1);  // empty cells are last
    return way * (numeric ? one - other || one.localeCompare(other) : one.localeCompare(other, undefined, { numeric: true }));
  });
  const wired = new WeakSet();
  function wire() {
    const measured = document.querySelector(".all-measured")?.closest("section");
    if (!measured) return;
    const body = measured.querySelector("tbody"), heads = [...measured.querySelectorAll("thead .sort")];
    const find = measured.querySelector(".find"), count = measured.querySelector(".found"), filters = [...measured.querySelectorAll("[data-verdict][aria-pressed]")];
    const title = (head) => head.textContent.replaceAll("\u00a0", " ").toLowerCase();
    const sift = () => {
      const { query } = place();
      const words = (query.get("find") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
      const pressed = new Set((query.get("verdict") ?? "").split(",").filter(Boolean));
      const sort = query.get("sort") ?? "", by = sort.replace(/^-/, "");
      for (const one of filters) one.ariaPressed = String(pressed.has(one.dataset.verdict));
      if (find !== document.activeElement) find.value = query.get("find") ?? "";
      heads.forEach((head, at) => {
        const th = head.closest("th"), is = Boolean(by) && title(head) === by, way = sort === by ? "asc" : "desc";
        head.classList.toggle("asc", is && way === "asc");
        head.classList.toggle("desc", is && way === "desc");
        if (is) th.ariaSort = `${way}ending`; else th.removeAttribute("aria-sort");
        if (is) body.append(...inOrder([...body.rows], at, way === "asc" ? 1 : -1, th.classList.contains("number")));
      });
      let some = 0;
      for (const row of body.rows) {
        const content = row.textContent.toLowerCase();
        row.hidden = (pressed.size > 0 && !pressed.has(row.dataset.verdict)) || !words.every((word) => content.includes(word));
        some += !row.hidden;
      }
      count.textContent = some === body.rows.length ? `${some}` : `${some} of ${body.rows.length}`;
    };
    sift();
    if (wired.has(measured)) return;
    wired.add(measured);
    find.addEventListener("input", () => { remember({ find: find.value }); sift(); });
    measured.addEventListener("click", ({ target }) => {
      const filter = target.closest("[data-verdict][aria-pressed]"), head = target.closest("thead .sort");
      if (filter) {
        filter.ariaPressed = filter.ariaPressed === "true" ? "false" : "true";
        remember({ verdict: filters.filter((one) => one.ariaPressed === "true").map((one) => one.dataset.verdict).join(",") });
      }
      if (head) remember({ sort: head.classList.contains("asc") ? `-${title(head)}` : title(head) });
      if (filter || head) sift();
    });
    const cell = (text) => {
      // A spreadsheet would evaluate a text that begins like a formula.
      const safe = /^[=+@\t\r-]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
      return /[",\n;]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    };
    measured.querySelector(".csv").addEventListener("click", ({ target }) => {
      const lines = [[...heads.map(title), "exact value"]];
      for (const row of body.rows)
        if (!row.hidden) lines.push([...[...row.cells].map((one) => (one.dataset.csv ?? one.textContent).trim()), row.querySelector("[data-by]").title]);
      copy(lines.map((line) => line.map(cell).join(",")).join("\n") + "\n", target);
    });
  }

  wire();
  // The monitor has rendered the page again.
  document.addEventListener("shown", () => {
    readData();
    labelTheme();
    wire();
    for (const one of document.querySelectorAll(".plot")) delete one.points, delete one.span;
    document.querySelectorAll("div.step.open").forEach(complete);
  });

  // A chart shows the point that is nearest to the pointer, or that the arrow keys have reached.
  const pointsOf = (plot) => (plot.points ??= [...plot.querySelectorAll("circle, .cross")]
    .map((one) => ({ one, x: parseFloat(one.getAttribute("cx") ?? one.getAttribute("x")), y: parseFloat(one.getAttribute("cy") ?? one.getAttribute("y")) }))
    .sort((a, b) => a.x - b.x));
  const read = (plot, at) => {
    const text = plot.parentElement.querySelector(".read");
    plot.span ??= text.textContent;
    plot.querySelector(".at")?.classList.remove("at");
    plot.at = at;
    const point = pointsOf(plot)[at]?.one;
    point?.classList.add("at");
    const found = point ? [point.querySelector("title").textContent, text.dataset.limits].filter(Boolean).join(", ") : plot.span;
    if (text.textContent !== found) text.textContent = found;
  };
  const nearest = ({ target, clientX, clientY }) => {
    const plot = target.closest?.(".plot");
    if (!plot) return;
    const box = plot.firstElementChild.getBoundingClientRect();
    const far = ({ x, y }) => Math.abs(clientX - box.left - x / 100 * box.width) * 20 + Math.abs(clientY - box.top - y / 100 * box.height);
    let best = 0;
    pointsOf(plot).forEach((one, at, all) => { if (far(one) < far(all[best])) best = at; });
    read(plot, best);
  };
  for (const name of ["pointermove", "pointerdown"]) document.addEventListener(name, nearest);
  document.addEventListener("pointerout", ({ target, relatedTarget }) => {
    const plot = target.closest?.(".plot");
    if (plot && !plot.contains(relatedTarget) && plot !== document.activeElement) read(plot, -1);
  });
  document.addEventListener("focusout", ({ target }) => target.matches(".plot") && read(target, -1));
  document.addEventListener("keydown", (event) => {
    const plot = event.target;
    if (!plot.matches(".plot") || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = pointsOf(plot).length - 1, at = plot.at ?? -1;
    const next = { ArrowRight: Math.min(at + 1, last), ArrowLeft: at < 0 ? last : Math.max(at - 1, 0), Home: 0, End: last, Escape: -1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    read(plot, next);
  });

  // On paper: light, and failed steps open; afterwards as before.
  let opened = [];
  addEventListener("beforeprint", () => {
    root.classList.add("printing");
    setTheme("light");
    opened = [...document.querySelectorAll(":is(.step.failed, .step[data-state=interrupted]):not([open])")];
    ready = false;
    for (const one of opened) { unpack(one); one.open = true; }
  });
  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    setTheme(theme);
    for (const one of opened.splice(0)) one.open = false;
    setTimeout(() => (ready = true));
  });
  if (location.hash) reveal();
  setTimeout(() => (ready = true));
})();
