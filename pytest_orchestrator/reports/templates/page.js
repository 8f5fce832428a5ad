(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("scripted");
  const data = JSON.parse(document.getElementById("data").textContent);
  const section = document.getElementById("steps");
  const numbers = new Set(["order", "seconds", "cpu", "peak"]);
  const names = ["order", "name", "state", "seconds", "cpu", "peak", "wrote", "tags", "of", "reason"];
  const searched = ["name", "state", "wrote", "tags", "reason"];
  let list = null, later = 0;

  if (section) {
    list = new List(section, {
      valueNames: [{ data: names }],
      page: Number.MAX_SAFE_INTEGER,
      sortFunction: (a, b, { valueName }) => {
        const [one, other] = [a.values()[valueName], b.values()[valueName]];
        return numbers.has(valueName) ? one - other : one.localeCompare(other, undefined, { numeric: true });
      },
    });
    const shown = section.querySelector(".shown");
    const showCount = () => {
      const all = list.items.length, some = list.matchingItems.length;
      shown.textContent = some === all ? `${all}` : `${some} of ${all}`;
      for (const button of section.querySelectorAll(".sort")) {
        const way = button.classList.contains("asc") ? "ascending" : button.classList.contains("desc") ? "descending" : "";
        if (way) button.setAttribute("aria-label", `${button.textContent}, sorted ${way}`);
        else button.removeAttribute("aria-label");
      }
    };
    list.on("updated", showCount);
    showCount();
    const states = [...section.querySelectorAll("[data-state][aria-pressed]")];
    const selects = [...section.querySelectorAll("select")];
    const text = section.querySelector(".find");
    const filter = () => {
      const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
      const pressed = new Set(states.filter((one) => one.ariaPressed === "true").map((one) => one.dataset.state));
      const [tag, of] = ["tag", "of"].map((id) => document.getElementById(id)?.value ?? "");
      list.filter((item) => {
        const values = item.values();
        if ((pressed.size && !pressed.has(values.state)) || (of && values.of !== of)) return false;
        if (tag && !values.tags.split(" ").includes(tag)) return false;
        const content = searched.map((name) => values[name]).join(" ").toLowerCase();
        return words.every((word) => content.includes(word));
      });
    };
    for (const one of states)
      one.addEventListener("click", () => {
        one.ariaPressed = one.ariaPressed === "true" ? "false" : "true";
        filter();
      });
    for (const one of selects) one.addEventListener("change", filter);
    text.addEventListener("input", () => { clearTimeout(later); later = setTimeout(filter, list.items.length > 300 ? 250 : 0); });
    section.addEventListener("toggle", (event) => event.target.open && draw(event.target), true);
  }

  // Open the step of a link, even if a filter has removed it from the list.
  const reveal = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const item = list?.items.find((one) => one.elm.id === id);
    if (item && !item.elm.isConnected) {
      for (const one of section.querySelectorAll("[aria-pressed=true]")) one.ariaPressed = "false";
      for (const one of section.querySelectorAll("select")) one.value = "";
      section.querySelector(".find").value = "";
      list.filter();
    }
    const target = item?.elm ?? document.getElementById(id);
    if (!target) return;
    if (target.tagName === "DETAILS") target.open = true;
    target.scrollIntoView({ block: "start" });
    target.querySelector("summary")?.focus({ preventScroll: true });
  };
  addEventListener("hashchange", reveal);

  document.addEventListener("click", async (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (link && link.getAttribute("href") === location.hash) reveal();
    const button = event.target.closest("button.copy");
    if (!button) return;
    const text = button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(button.parentElement.querySelector("code"));
      button.textContent = document.execCommand("copy") ? "Copied" : "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
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

  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const axis = (more) => ({ stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") }, ...more });
  const tidy = (value, digits) => (value == null ? "-" : value.toFixed(digits));
  const drawn = [];

  function plot(place, options, series) {
    const width = Math.max(220, place.clientWidth || place.parentElement.clientWidth);
    drawn.push([place, new uPlot({ width, ...options }, series, place)]);
  }

  function draw(step) {
    const place = step.querySelector(":scope > .panel > .curves");
    const samples = place && data.curves[place.dataset.curves];
    if (!samples || place.firstChild) return;
    plot(place, {
      height: 190,
      scales: { x: { time: false }, MB: { range: (_, low, high) => [0, high * 1.1 || 1] }, cores: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } },
      axes: [axis({ values: (_, ticks) => ticks.map((one) => `${one} s`) }), axis({ scale: "MB", size: 64, values: (_, ticks) => ticks.map((one) => `${one} MB`) }), axis({ scale: "cores", side: 1, size: 50, grid: { show: false } })],
      series: [
        { label: "time", value: (_, value) => `${tidy(value, 3)} s` },
        { label: "memory", scale: "MB", stroke: colour("running"), fill: colour("running") + "22", width: 2, points: { show: false }, value: (_, value) => `${tidy(value, 1)} MB` },
        { label: "CPU cores used", scale: "cores", stroke: colour("blocked"), width: 2, dash: [6, 4], points: { show: false }, value: (_, value) => tidy(value, 2) },
      ],
    }, [samples.seconds, samples.rss.map((one) => one / 1e6), samples.cpu]);
  }

  function trend(place) {
    const { points, unit } = data.trends[place.dataset.trend];
    plot(place, {
      height: 130,
      legend: { show: true },
      scales: { x: { time: false, range: [-0.3, points.length - 0.7] }, y: { range: (_, low, high) => [Math.min(0, low), high * 1.15 || 1] } },
      axes: [axis({ show: false }), axis({ size: 56 })],
      series: [
        { label: "run", value: (_, value) => points[value]?.run ?? "-" },
        { label: unit, stroke: colour("running"), width: 2, points: { show: true, size: 6 }, value: (_, value) => (value == null ? "-" : String(+value.toPrecision(6))) },
      ],
    }, [points.map((_, at) => at), points.map((one) => one.value)]);
  }

  const redraw = () => {
    for (const [place, one] of drawn.splice(0)) { one.destroy(); place.replaceChildren(); }
    document.querySelectorAll(".trend").forEach(trend);
    document.querySelectorAll(".step[open]").forEach(draw);
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let wide = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== wide) { wide = innerWidth; clearTimeout(later); later = setTimeout(redraw, 150); } });
  addEventListener("beforeprint", () => { for (const one of document.querySelectorAll(".step.failed")) one.open = true; });
  redraw();
  if (location.hash) reveal();
})();
