// Zoom, mini-map and first position of the graph. The size is a variable of the root element and
// the position belongs to the box itself, so that both stay when the page is replaced.
(() => {
  "use strict";
  const root = document.documentElement;
  const LEAST = 0.1, MOST = 3;
  let zoom = 1, seen = "", touched = false, quiet = false;
  const pan = () => document.querySelector(".graph-pan");
  const sheet = (box) => [...box.querySelectorAll(".sheet")].find((one) => one.getClientRects().length);

  const scale = (size, box) => {
    const before = zoom, x = box.clientWidth / 2, y = box.clientHeight / 2;
    zoom = Math.min(MOST, Math.max(LEAST, size));
    const left = (box.scrollLeft + x) * zoom / before - x, top = (box.scrollTop + y) * zoom / before - y;
    root.style.setProperty("--zoom", zoom);
    box.scrollLeft = left;
    box.scrollTop = top;
    touched = true;
    update(box);
  };
  const fit = (box) => scale(box.clientWidth / parseFloat(getComputedStyle(sheet(box)).getPropertyValue("--w")), box);
  const act = (name, box) => ({ in: () => scale(zoom * 1.25, box), out: () => scale(zoom / 1.25, box), fit: () => fit(box), one: () => scale(1, box) })[name]?.();

  // The chosen, the first failed, or the first running step is in sight.
  const aim = (box) => {
    const on = sheet(box);
    const target = on?.querySelector(".picked") ?? on?.querySelector(".failed") ?? on?.querySelector(".running");
    if (!target) return;
    const one = target.getBoundingClientRect(), frame = box.getBoundingClientRect();
    quiet = true;
    if (one.bottom > frame.bottom || one.top < frame.top) box.scrollTop += one.top - frame.top - frame.height / 3;
    if (one.right > frame.right || one.left < frame.left) box.scrollLeft += one.left - frame.left - frame.width / 3;
  };

  const update = (box) => {
    const text = `${Math.round(zoom * 100)} %`, label = document.getElementById("zoomed");
    if (label.textContent !== text) label.textContent = text;
    draw(box);
  };

  // A map of the whole graph with the part in sight, for a graph that is larger than its box.
  const draw = (box) => {
    const map = document.querySelector("canvas.mini"), svg = sheet(box)?.querySelector("svg");
    if (!map || !svg) return;
    const [width, height] = [box.scrollWidth, box.scrollHeight];
    map.hidden = width * height < 1.6 * box.clientWidth * box.clientHeight;
    if (map.hidden) return;
    const size = Math.min(180 / width, Math.max(130, box.clientHeight - 60) / height);
    const dots = devicePixelRatio || 1;
    map.style.width = `${width * size}px`;
    map.style.height = `${height * size}px`;
    map.width = width * size * dots;
    map.height = height * size * dots;
    const ink = map.getContext("2d"), style = getComputedStyle(root);
    ink.scale(size * dots, size * dots);
    for (const one of svg.querySelectorAll(".box")) {
      const { e, f } = one.transform.baseVal[0].matrix, look = one.classList[1];
      ink.fillStyle = style.getPropertyValue(look === "passed" ? "--bar" : `--${look}`);
      ink.globalAlpha = look === "waiting" || look === "skipped" ? 0.35 : 0.9;
      ink.fillRect(e * zoom, f * zoom, 184 * zoom, 44 * zoom);
    }
    ink.globalAlpha = 1;
    ink.lineWidth = 1.5 / size;
    ink.strokeStyle = style.getPropertyValue("--fg");
    ink.strokeRect(box.scrollLeft, box.scrollTop, box.clientWidth, box.clientHeight);
  };

  const shown = () => {
    const box = pan();
    if (!box) { seen = ""; return; }
    if (box.dataset.graph !== seen) { seen = box.dataset.graph; touched = false; box.scrollTop = box.scrollLeft = 0; }
    if (!touched) aim(box);
    update(box);
  };

  document.addEventListener("click", (event) => {
    const name = event.target.closest("[data-zoom]")?.dataset.zoom, box = pan();
    if (name && box) act(name, box);
  });
  document.addEventListener("keydown", (event) => {
    const box = pan();
    if (!box || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const name = { "+": "in", "=": "in", "-": "out", 0: "fit", 1: "one" }[event.key];
    if (!name) return;
    event.preventDefault();
    act(name, box);
  });
  document.addEventListener("wheel", (event) => {
    const box = event.target.closest?.(".graph-pan");
    if (!box || !event.ctrlKey) return;
    event.preventDefault();
    scale(zoom * (event.deltaY < 0 ? 1.1 : 1 / 1.1), box);
  }, { passive: false });
  document.addEventListener("scroll", (event) => {
    if (!event.target.matches?.(".graph-pan")) return;
    touched = touched || !quiet;
    quiet = false;
    draw(event.target);
  }, true);
  const move = (event) => {
    const map = event.target.closest?.("canvas.mini"), box = pan();
    if (!map || !box || !event.buttons) return;
    const frame = map.getBoundingClientRect(), size = box.scrollWidth / frame.width;
    box.scrollLeft = (event.clientX - frame.left) * size - box.clientWidth / 2;
    box.scrollTop = (event.clientY - frame.top) * size - box.clientHeight / 2;
  };
  document.addEventListener("pointerdown", move);
  document.addEventListener("pointermove", move);
  document.addEventListener("shown", shown);
  document.addEventListener("themed", shown);
  addEventListener("resize", shown);
  shown();
})();
